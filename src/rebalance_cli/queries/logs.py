"""Log lines of a plan: the files of runs on this machine, files that are named, or CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rebalance_cli.context import CliContext

_AROUND = timedelta(minutes=5)


def read_log_records(
    desk: CliContext, plan_id: str, started_at: datetime, until: datetime, files: Iterable[Path]
) -> Iterator[Any]:
    """Decoded log lines that name this plan.

    Args:
        desk: where to look: ``LOG_GROUP`` names the function's log group.
        plan_id: the plan.
        started_at: when it was begun.
        until: when it was finished, or now.
        files: files to read besides those of this machine's own runs.
    """
    own = sorted((desk.data_dir / "log").glob("*.jsonl")) if (desk.data_dir / "log").is_dir() else []
    for path in [*own, *files]:
        yield from _of_plan(path.read_text(encoding="utf-8", errors="replace").splitlines(), plan_id)
    group = desk.environment.get("LOG_GROUP")
    if group:
        pages = desk.aws_client("logs").get_paginator("filter_log_events")
        span = {
            "startTime": int((started_at - _AROUND).timestamp() * 1000),
            "endTime": int((until + _AROUND).timestamp() * 1000),
        }
        for page in pages.paginate(logGroupName=group, filterPattern=json.dumps(plan_id), **span):
            yield from _of_plan((event["message"] for event in page["events"]), plan_id)


def _of_plan(lines: Iterable[str], plan_id: str) -> Iterator[Any]:
    for line in lines:
        if plan_id not in line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("plan_id") == plan_id and "timestamp" in record:
            yield record
