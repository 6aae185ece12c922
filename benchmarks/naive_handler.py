"""A naive implementation, to compare the cold start and a warm plan with.

It uses idempotency of Powertools, sends market orders with alpaca-py one after the other, and stores one item per
order. It has no journal, lease, sequence of sells and buys, controls, timeouts or resumption.
"""

from __future__ import annotations

import os
from typing import Any

import boto3
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent,
)

logger, metrics, tracer = Logger(service="naive"), Metrics(namespace="naive", service="naive"), Tracer(disabled=True)
_URL = os.environ["ALPACA_TRADING_URL"]
trading = TradingClient("local", "local", url_override=_URL)
data = StockHistoricalDataClient("local", "local", url_override=_URL)
results = boto3.resource("dynamodb").Table(os.environ["EXECUTION_TABLE"])
record = DynamoDBPersistenceLayer(os.environ["IDEMPOTENCY_TABLE"])
config = IdempotencyConfig(event_key_jmespath="plan_id")


@idempotent(persistence_store=record, config=config)
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Send the order of every item and read its status."""
    prices = {position.symbol: position.current_price for position in trading.get_all_positions()}  # type: ignore[union-attr]
    filled = 0
    for item in event["items"]:
        amount = float(item["trade_amount"])
        order = trading.submit_order(
            MarketOrderRequest(
                symbol=item["symbol"],
                qty=round(abs(amount) / float(prices[item["symbol"]] or 100), 6),
                side=OrderSide.BUY if amount > 0 else OrderSide.SELL,
                time_in_force=TimeInForce.DAY,
            )
        )
        order = trading.get_order_by_id(order.id)  # type: ignore[union-attr]
        filled += order.status == "filled"  # type: ignore[union-attr]
        results.put_item(Item={"pk": event["plan_id"], "sk": item["symbol"], "order": order.model_dump_json()})  # type: ignore[union-attr]
        logger.info("order", symbol=item["symbol"])
    return {"plan_id": event["plan_id"], "filled": filled}
