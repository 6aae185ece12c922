"""Execute a plan on your paper account at Alpaca: ``python library.py plan.json``."""

import json
import logging
import os
import sys
from pathlib import Path

from rebalance_executor import ExecutionManager

logging.basicConfig(level=logging.INFO, format="%(message)s")
with ExecutionManager.create_with_config(
    api_key=os.environ["APCA_API_KEY_ID"],
    secret_key=os.environ["APCA_API_SECRET_KEY"],
    trading_url=os.environ.get("ALPACA_TRADING_URL"),  # not set: Alpaca
) as manager:
    result = manager.execute_rebalance_plan(json.loads(Path(sys.argv[1]).read_text("utf-8")))
print(result.status.value, result.filled_dollars, "dollars")
