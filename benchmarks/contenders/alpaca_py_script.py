"""Execute a plan as a script with alpaca-py does: ``alpaca_py_script.py FOLDER PLAN.json``.

It checks the market clock and the account, quotes all symbols, sends a limit order at the far touch for each item,
sells first, and polls until all are filled.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])

from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockLatestQuoteRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest

keys = (os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"])
trading: Any = TradingClient(*keys, url_override=os.environ["APCA_API_BASE_URL"])
data: Any = StockHistoricalDataClient(*keys, url_override=os.environ["APCA_API_DATA_URL"])
items = sorted(
    json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))["items"], key=lambda item: item["action"] == "BUY"
)

if not trading.get_clock().is_open or trading.get_account().trading_blocked:
    sys.exit("The account cannot trade now.")
quotes = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=[item["symbol"] for item in items]))
for item in items:
    is_buy, quote = item["action"] == "BUY", quotes[item["symbol"]]
    price = quote.ask_price if is_buy else quote.bid_price
    trading.submit_order(
        LimitOrderRequest(
            symbol=item["symbol"],
            qty=round(abs(float(item["trade_amount"])) / price, 4),
            side=OrderSide.BUY if is_buy else OrderSide.SELL,
            time_in_force=TimeInForce.DAY,
            limit_price=price,
        )
    )
while trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=500)):
    time.sleep(0.5)
