"""Log lines of a plan: from runs on this machine, from named files, and from CloudWatch Logs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rebalance_cli.context import CliContext

_MARGIN = timedelta(minutes=5)
"""Time before the start and after the end of a plan in which CloudWatch is searched as well."""


def read_log_records(
    ctx: CliContext, plan_id: str, started_at: datetime, until: datetime, files: Iterable[Path]
) -> Iterator[dict[str, Any]]:
    """Read and decode the log lines of a plan.

    Args:
        ctx: its data directory has the logs of runs on this machine; ``LOG_GROUP`` names the function's log group.
        plan_id: ID of the plan.
        started_at: start of the plan.
        until: end of the plan, or now.
        files: more files to read.
    """
    folder = ctx.data_dir / "log"
    own_files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    for path in [*own_files, *files]:
        yield from _decode(path.read_text(encoding="utf-8", errors="replace").splitlines(), plan_id)
    group = ctx.environment.get("LOG_GROUP")
    if group:
        pages = ctx.aws_client("logs").get_paginator("filter_log_events")
        period = {
            "startTime": int((started_at - _MARGIN).timestamp() * 1000),
            "endTime": int((until + _MARGIN).timestamp() * 1000),
        }
        for page in pages.paginate(logGroupName=group, filterPattern=json.dumps(plan_id), **period):
            yield from _decode((event["message"] for event in page["events"]), plan_id)


def _decode(lines: Iterable[str], plan_id: str) -> Iterator[dict[str, Any]]:
    for line in lines:
        if plan_id not in line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("plan_id") == plan_id and "timestamp" in record:
            yield record
