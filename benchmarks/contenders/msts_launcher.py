"""Run msts-trader's command against the simulated broker at noon of a trading day: ``msts_launcher.py TARGETS.csv``."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from functools import partialmethod
from typing import Any
from zoneinfo import ZoneInfo

from alpaca.data.historical import StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from msts_trader import market_hours  # type: ignore[import-not-found]
from msts_trader.__main__ import main  # type: ignore[import-not-found]

clients: dict[Any, str] = {TradingClient: "APCA_API_BASE_URL", StockHistoricalDataClient: "APCA_API_DATA_URL"}
for client, variable in clients.items():
    client.__init__ = partialmethod(client.__init__, url_override=os.environ[variable])
market_hours.now_et = lambda: datetime(2026, 1, 28, 12, tzinfo=ZoneInfo("America/New_York"))
options = ("--broker", "alpaca", "--threshold", "0.0000000001", "--no-sweep", "--yes", "--json")
main(["rebalance", *options, "--csv-file", sys.argv[1]])
