"""Execute a plan with a Lambda handler: ``handler.py FOLDER MODULE PLAN.json SECONDS``."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

folder, module, plan, seconds = sys.argv[1:]
sys.path.insert(0, folder)
ends_at = time.monotonic() + float(seconds)
handler = importlib.import_module(module).lambda_handler
context = SimpleNamespace(
    aws_request_id=str(time.time_ns()),
    function_name="rebalance",
    function_version="1",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:rebalance",
    get_remaining_time_in_millis=lambda: max(0, int(1000 * (ends_at - time.monotonic()))),
)
handler(json.loads(Path(plan).read_text(encoding="utf-8")), context)
