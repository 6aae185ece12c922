"""A deterministic simulation of the whole program: the real handler, front door, manager and executor on ports that
fail, lose answers, are interrupted and are killed by a seed.

``python -m rebalance_executor.testkit --seeds 1000`` runs histories; see ``docs/reliability.md``. Not deployed.
"""
