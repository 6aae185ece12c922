"""What happens before the first plan comes: what is imported, and what is built, in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import clean_environment

MOST_MODULES = 1_000
"""A third of them are the standard library's. Each costs a cold start a fifth of a millisecond and some memory."""
NEVER = {
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
import json, sys
from rebalance_executor import bootstrap
from rebalance_executor.handler import lambda_handler
print(json.dumps({"modules": sorted(sys.modules), "built": bootstrap.service.cache_info().currsize}))
"""
SETTINGS = {
    "EXECUTION_TABLE": "execution",
    "IDEMPOTENCY_TABLE": "idempotency",
    "ALPACA_SECRET_NAME": "alpaca/{account}",
    "RESULT_BUS": "default",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",  # nobody: whatever is asked fails
}


def after_init(**variables: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=clean_environment(**variables), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_no_command_but_the_page_waits_for_the_plot_library() -> None:
    program = "import sys, rebalance_cli.main; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_nothing_is_imported_that_is_not_used() -> None:
    """Data frames, streams and the commands' libraries would double a cold start."""
    modules = after_init()["modules"]
    assert not {name.split(".")[0] for name in modules} & NEVER
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize("start", ["on-demand", "snap-start", "provisioned-concurrency"])
def test_in_lambda_the_program_is_built_before_the_first_plan_and_nobody_is_asked(start: str) -> None:
    assert after_init(AWS_LAMBDA_INITIALIZATION_TYPE=start, **SETTINGS)["built"] == 1


def test_elsewhere_it_is_built_when_it_is_used() -> None:
    assert after_init(**SETTINGS)["built"] == 0


def test_a_setting_that_is_missing_is_left_to_the_first_invocation_to_name() -> None:
    assert after_init(AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")["built"] == 0
