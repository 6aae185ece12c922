"""Realised costs of many orders: the answer of the command, and its sums."""
