"""A deterministic simulation of the whole program: the real handler, front door, manager and executor on ports that
fail, lose answers, are interrupted and are killed by a seed.

``python -m rebalance_simulation --seeds 1000`` runs histories; see ``docs/reliability.md``. ``play_seeds`` with
cases of your own does so for your own plans; see ``docs/library.md``. Not deployed.
"""

from rebalance_simulation.clock import BEGIN
from rebalance_simulation.history import History
from rebalance_simulation.invariants import Violation
from rebalance_simulation.statistics import RunStats, play_seeds
from rebalance_simulation.workload import Case

__all__ = ["BEGIN", "Case", "History", "RunStats", "Violation", "play_seeds"]
