"""Imports and the init phase of Lambda, in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import clean_environment

MAX_MODULES = 1_000
"""A third of them belong to the standard library. Each one adds 0.2 ms to a cold start, and some memory."""
UNUSED = {
    "pandas",
    "numpy",
    "websockets",
    "sseclient",
    "msgpack",
    "typer",
    "rich",
    "matplotlib",
    "jinja2",
    "moto",
    "sqlite3",
}
PROGRAM = """
import gc, json, sys
collections = []
gc.callbacks.append(lambda phase, info: phase == "start" and collections.append(info))
from rebalance_executor.handler import lambda_handler
from rebalance_executor import bootstrap
report = {"collections": len(collections), "collects": gc.isenabled(), "frozen": gc.get_freeze_count() > 0}
report |= {"modules": sorted(sys.modules), "built": bootstrap.service.cache_info().currsize}
print(json.dumps(report))
"""
SETTINGS = {
    "EXECUTION_TABLE": "execution",
    "IDEMPOTENCY_TABLE": "idempotency",
    "ALPACA_SECRET_NAME": "alpaca/{account}",
    "RESULT_BUS": "default",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",  # nothing listens there: every request fails
}


def after_init(**variables: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=clean_environment(**variables), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_commands_do_not_import_the_plot_library() -> None:
    program = "import sys, rebalance_cli.main; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_handler_imports_no_unused_library() -> None:
    """Data frames, streams and the commands' libraries would double a cold start."""
    modules = after_init()["modules"]
    assert not {name.split(".")[0] for name in modules} & UNUSED
    assert len(modules) <= MAX_MODULES


@pytest.mark.parametrize("start", ["on-demand", "snap-start", "provisioned-concurrency"])
def test_init_phase_builds_the_service_without_network_calls(start: str) -> None:
    assert after_init(AWS_LAMBDA_INITIALIZATION_TYPE=start, **SETTINGS)["built"] == 1


def test_import_outside_lambda_builds_nothing() -> None:
    assert after_init(**SETTINGS)["built"] == 0


def test_missing_setting_does_not_fail_the_init_phase() -> None:
    assert after_init(AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")["built"] == 0


def test_init_phase_collects_hardly_any_garbage_and_freezes_what_it_creates() -> None:
    """Package and handler are imported without garbage collection; in between it may run."""
    report = after_init(AWS_LAMBDA_INITIALIZATION_TYPE="on-demand", **SETTINGS)

    assert report["collections"] <= 2
    assert report["frozen"]
    assert report["collects"]


def test_import_outside_lambda_freezes_nothing() -> None:
    report = after_init(**SETTINGS)

    assert not report["frozen"]
    assert report["collects"]
