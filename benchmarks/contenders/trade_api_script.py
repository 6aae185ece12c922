"""Execute a plan as a script with alpaca-trade-api does: ``trade_api_script.py PLAN.json``, as ``alpaca_py_script``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import alpaca_trade_api  # type: ignore[import-not-found]

api = alpaca_trade_api.REST()
items = sorted(
    json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["items"], key=lambda item: item["action"] == "BUY"
)

if not api.get_clock().is_open or api.get_account().trading_blocked:
    sys.exit("The account cannot trade now.")
quotes = api.get_latest_quotes([item["symbol"] for item in items])
for item in items:
    is_buy, quote = item["action"] == "BUY", quotes[item["symbol"]]
    price = quote.ap if is_buy else quote.bp
    api.submit_order(
        symbol=item["symbol"],
        qty=round(abs(float(item["trade_amount"])) / price, 4),
        side=item["action"].lower(),
        type="limit",
        time_in_force="day",
        limit_price=price,
    )
while api.list_orders(status="open", limit=500):
    time.sleep(0.5)
