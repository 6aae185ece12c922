"""Several plans on one simulated account: no plan replaces what an earlier one left."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rebalance_sandbox.running import running_servers
from tests.support.builders import an_item_document
from tests.support.desk import PLAN, SECONDS, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.up()
    yield desk
    desk.close()


def next_plan(plan_id: str, *items: dict[str, Any]) -> dict[str, Any]:
    return PLAN | {"plan_id": plan_id, "items": list(items)}


def test_two_days_are_rehearsed_one_after_the_other(desk: Desk) -> None:
    first = desk.run("apply", str(desk.plan))
    held = desk.holdings()
    second = desk.file(
        "second.json",
        next_plan(
            "second-day",
            an_item_document("ZZC", "SELL", "-500", current_value=str(held["ZZC"]), target_value="1500"),
            an_item_document("ZZN", "BUY", "300", current_value="0", target_value="300"),
        ),
    )

    _, _, preview = desk.run("preview", second)
    code, out, errors = desk.run("apply", second)

    assert (first[0], code) == (0, 0), first[1] + out + errors
    assert "other holdings" not in preview + errors
    after = desk.holdings()
    assert after.keys() == {"ZZC", "ZZN"}
    assert abs(after["ZZC"] - (held["ZZC"] - 500)) < 5
    reconciled, answer, _ = desk.run("reconcile", "stopped")
    assert reconciled == 0, answer


def test_a_plan_with_other_holdings_is_named_and_changes_nothing_until_a_new_world_is_wanted(desk: Desk) -> None:
    assert desk.run("apply", str(desk.plan))[0] == 0
    held = desk.holdings()
    other = desk.file(
        "other.json",
        next_plan("other", an_item_document("ZZA", "SELL", "-700", current_value="7000", target_value="6300")),
    )

    _, _, preview = desk.run("preview", other)
    _, _, again = desk.run("preview", other)
    after_previews = desk.holdings()
    code, _, _ = desk.run("preview", other, "--new-world")

    for notes in (preview, again):
        assert "ZZA $7,000.00 in the plan and $0.00 at the broker" in " ".join(notes.split())
        assert "--new-world" in notes
    assert after_previews == held
    assert code == 0
    assert desk.holdings().keys() == {"ZZA"}
    assert abs(desk.holdings()["ZZA"] - 7000) < 5  # at the bid


def test_a_new_world_is_denied_while_a_plan_is_unfinished(desk: Desk) -> None:
    desk.serve()
    process, _ = desk.working_apply()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)

    code, _, errors = desk.run("apply", str(desk.plan), "--new-world")

    assert (process.returncode, code) == (5, 5)
    assert "Plan stopped is unfinished" in " ".join(errors.split())


def test_a_killed_local_aws_is_named_and_nothing_continues_with_half_of_the_data(desk: Desk) -> None:
    assert desk.run("apply", str(desk.plan))[0] == 0
    aws = running_servers(desk.data_dir)["aws"]
    with os.fdopen(os.pidfd_open(aws.pid)) as process:
        os.kill(aws.pid, signal.SIGKILL)
        assert select.select([process], [], [], SECONDS)[0]

    for words in (["status"], ["apply", str(desk.plan)], ["local", "up"]):
        code, _, errors = desk.run(*words)
        assert code == 2
        assert "The local AWS was killed" in " ".join(errors.split())
        assert "rebalance local reset" in " ".join(errors.split())
    assert desk.run("local", "reset", "--yes")[0] == 0
    desk.up()
    assert desk.run("apply", str(desk.plan))[0] == 0


def test_servers_that_are_stopped_and_started_keep_their_data(desk: Desk) -> None:
    assert desk.run("apply", str(desk.plan))[0] == 0
    for _ in range(2):
        assert desk.run("local", "down")[0] == 0
        desk.up()

    code, out, _ = desk.run("apply", str(desk.plan))

    assert code == 0
    assert "Already executed" in out
