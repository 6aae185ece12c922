"""Calibration: fill rates estimated from the journal's own child orders, and ladders that they suggest. Pure."""
