"""Deterministic simulation of the whole program under faults.

Real are the trigger, the handler, Powertools' idempotency, the service, the execution, the circuit breaker, and the
adapters of Alpaca and DynamoDB with their rate limiting, retries and parsing. Simulated are the clock, Alpaca's HTTP
API (on the simulated broker's exchange), DynamoDB, Powertools' idempotency records, and the publisher of results. A
seed determines which external calls fail or lose their answer, and when a run is interrupted or killed.

``python -m rebalance_simulation --seeds 1000`` runs histories; see ``docs/evidence/simulation.md``. ``play_seeds`` with
your own cases runs your own plans; see ``docs/library.md``. The package is not deployed.
"""

from rebalance_simulation.clock import START
from rebalance_simulation.history import History
from rebalance_simulation.statistics import RunStats, play_seeds
from rebalance_simulation.violation import Violation
from rebalance_simulation.workload import Case

__all__ = ["START", "Case", "History", "RunStats", "Violation", "play_seeds"]
