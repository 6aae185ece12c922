"""A run is killed between a plan's result and its publication: the next run of the account publishes the result."""

from __future__ import annotations

from typing import cast

import pytest

from rebalance_executor.domain.errors import (
    EarlierPlanUnfinished,
    JournalContradiction,
    JournalUnavailable,
    PlanChanged,
    PlanYielded,
    PublishFailed,
)
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import a_plan, an_item
from tests.support.fake_ports import RESTS, FakePorts
from tests.support.fake_publisher import FakePublisher

OUTAGE = JournalUnavailable("the table does not answer")


class Killed(BaseException):
    """The end of an invocation."""


def buys(plan_id: str, symbol: str, amount: str = "1000") -> RebalancePlan:
    return a_plan(an_item(symbol, amount=amount), plan_id=plan_id)


FIRST = buys("first", "AAA")
SECOND = buys("second", "BBB")


def kill_next_publication(fakes: FakePorts) -> None:
    """Kill the run that publishes next."""
    fakes.publishers[0].errors = [cast("Exception", Killed())]


def unpublished() -> FakePorts:
    """Return fakes in which the first plan has its result, which no channel has received."""
    fakes = FakePorts()
    kill_next_publication(fakes)
    with pytest.raises(Killed):
        fakes.execute(FIRST)
    assert fakes.plan_journal("first").result is not None
    return fakes


def published(fakes: FakePorts) -> list[str]:
    return [result.plan_id for result in fakes.publishers[0].published]


def test_next_run_of_the_account_publishes_the_result_before_its_own() -> None:
    fakes = unpublished()

    fakes.execute(SECOND, run_id="run-2")

    assert published(fakes) == ["first", "second"]
    assert fakes.publishers[0].published[0] == fakes.plan_journal("first").result
    assert fakes.plan_journal("first").published == {"bus"}
    assert fakes.earlier_plans == ["first"]
    assert [request.symbol for request in fakes.broker.sent] == ["AAA", "BBB"]


def test_result_is_published_once_by_the_runs_that_follow() -> None:
    fakes = unpublished()
    for number, plan in enumerate((SECOND, FIRST, buys("third", "CCC")), 2):
        fakes.execute(plan, run_id=f"run-{number}")

    assert published(fakes) == ["first", "second", "third"]


def test_own_delivery_publishes_the_result() -> None:
    fakes = unpublished()

    assert fakes.execute(FIRST, run_id="run-2") == fakes.plan_journal("first").result

    assert published(fakes) == ["first"]
    assert fakes.journal.unfinished_plan_ids == []


def test_delivery_with_other_content_publishes_the_result_before_it_is_refused() -> None:
    fakes = unpublished()

    with pytest.raises(PlanChanged):
        fakes.execute(buys("first", "AAA", "500"), run_id="run-2")

    assert published(fakes) == ["first"]


def test_run_that_is_killed_after_it_finished_an_earlier_plan_leaves_its_result_to_the_next() -> None:
    fakes = FakePorts(child_wait_seconds="60")
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(FIRST, seconds=10)
    kill_next_publication(fakes)
    with pytest.raises(Killed):
        fakes.execute(SECOND, run_id="run-2")
    assert fakes.journal.peek("main", "second") is None

    fakes.execute(buys("third", "CCC"), run_id="run-3")

    assert published(fakes) == ["first", "third"]


def test_run_that_is_killed_while_it_publishes_an_earlier_result_leaves_it_to_the_next() -> None:
    fakes = unpublished()
    kill_next_publication(fakes)
    with pytest.raises(Killed):
        fakes.execute(SECOND, run_id="run-2")

    fakes.execute(SECOND, run_id="run-3")

    assert published(fakes) == ["first", "second"]


def test_channel_that_fails_is_tried_once_and_blocks_no_plan() -> None:
    fakes = unpublished()
    fakes.publishers.append(FakePublisher("notice"))
    fakes.publishers[1].errors = [PublishFailed("the topic is gone")]

    fakes.execute(SECOND, run_id="run-2")
    fakes.execute(buys("third", "CCC"), run_id="run-3")

    assert published(fakes) == ["first", "second", "third"]
    assert [result.plan_id for result in fakes.publishers[1].published] == ["second", "third"]
    assert [fields["channel"] for fields in fakes.fields(LogEvent.RESULT_PUBLISH_FAILED)] == ["notice"]


def test_next_run_does_not_repeat_a_publication_that_failed() -> None:
    fakes = FakePorts()
    fakes.publishers[0].errors = [PublishFailed("the bus is gone")]
    fakes.execute(FIRST)

    fakes.execute(SECOND, run_id="run-2")

    assert published(fakes) == ["second"]
    assert LogEvent.PLAN_EARLIER_RESUMED not in fakes.events


def test_without_publishers_the_result_releases_the_account() -> None:
    fakes = FakePorts()
    fakes.publishers = []

    fakes.execute(FIRST)

    assert fakes.database_calls[-1] == "journal.finish"
    assert fakes.journal.unfinished_plan_ids == []
    assert fakes.journal.holder("main") is None


def test_result_is_dropped_if_no_publisher_is_configured_any_more() -> None:
    fakes = unpublished()
    fakes.publishers = []

    assert fakes.execute(SECOND, run_id="run-2").success

    assert fakes.journal.unfinished_plan_ids == []


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "unreadable"])
def test_result_that_cannot_be_read_is_logged_and_blocks_no_plan(*, is_gone: bool) -> None:
    fakes = unpublished()
    if is_gone:
        fakes.journal.delete("main", "first")
    else:
        fakes.database_errors["journal.load"] = [JournalContradiction("a piece of the result is missing")]

    assert fakes.execute(SECOND, run_id="run-2").success

    assert published(fakes) == ["second"]
    (failure,) = fakes.fields(LogEvent.RESULT_PUBLISH_FAILED)
    assert (failure["channel"], failure["error"]) == ("journal", "JournalContradiction")


def test_plan_whose_items_are_gone_is_not_executed_again() -> None:
    fakes = unpublished()
    fakes.journal.delete("main", "first")

    with pytest.raises(JournalContradiction):
        fakes.execute(FIRST, run_id="run-2")

    assert [request.symbol for request in fakes.broker.sent] == ["AAA"]


@pytest.mark.parametrize("call", ["journal.load", "journal.mark_published"])
def test_outage_while_an_earlier_result_is_published_redelivers_the_plan(call: str) -> None:
    fakes = unpublished()
    fakes.database_errors[call] = [OUTAGE]

    with pytest.raises(EarlierPlanUnfinished):
        fakes.execute(SECOND, run_id="run-2")

    assert fakes.journal.holder("main") is None
    assert fakes.execute(SECOND, run_id="run-3").success
    assert published(fakes)[-2:] == ["first", "second"]


def test_publication_that_is_not_journalled_releases_the_account_and_is_repeated() -> None:
    fakes = FakePorts()
    fakes.database_errors["journal.mark_published"] = [OUTAGE]
    fakes.execute(FIRST)
    assert fakes.journal.holder("main") is None

    fakes.execute(SECOND, run_id="run-2")

    assert published(fakes) == ["first", "first", "second"]
