"""A deterministic simulation of the whole program: the real handler, front door, manager and executor on ports that
fail, lose answers, are interrupted and are killed by a seed.

``python -m rebalance_executor.testkit --seeds 1000`` runs histories; see ``docs/reliability.md``. ``play_seeds`` with
cases of your own does so for your own plans; see ``docs/library.md``. Not deployed.
"""

from rebalance_executor.testkit.clock import BEGIN
from rebalance_executor.testkit.history import History
from rebalance_executor.testkit.invariants import Violation
from rebalance_executor.testkit.subject import Case
from rebalance_executor.testkit.tally import Tally, play_seeds

__all__ = ["BEGIN", "Case", "History", "Tally", "Violation", "play_seeds"]
