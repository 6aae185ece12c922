"""Simulated broker with Alpaca's trading and market-data API, for development and tests.

:mod:`paper_broker.exchange` is the deterministic model, without I/O. :mod:`paper_broker.server` serves it over HTTP.
"""
