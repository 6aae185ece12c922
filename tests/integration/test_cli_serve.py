"""``rebalance serve``: its state, read from the journal with few requests."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from rich.console import Console

from rebalance_cli import context
from rebalance_cli.command_line import TargetOptions
from rebalance_cli.context import CliContext, cli_context
from rebalance_cli.live_server import LatestState
from rebalance_cli.queries import live
from rebalance_cli.queries.live import LiveQuery
from rebalance_cli.report import live_page
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.risk_state import TradingState
from tests.support.own_account import machine
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, plan, sell

DAY = "2026-01-26"
CUT = plan(sell("AAA", "1000", current_value="5000"), buy("BBB", "9000"), plan_id="cut")


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(positions={"AAA": "50"}, cash="1000") as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {})


@pytest.fixture
def ctx(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliContext]:
    for name, value in terminal._environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(context, "SystemClock", lambda: terminal.world.clock)
    with cli_context(TargetOptions(config_file=terminal.config), Console()) as ctx:
        yield ctx


def shown(ctx: CliContext, query: LiveQuery | None = None) -> str:
    html = live_page.live_state((query or LiveQuery(ctx, "default", DAY)).read(), ctx.command)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def interrupted(world: HandlerWorld, plan_id: str) -> None:
    world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(plan(sell("AAA", "500", current_value="3000"), plan_id=plan_id), seconds=8)


def test_state_shows_switch_binding_cash_and_what_needs_attention(world: HandlerWorld, ctx: CliContext) -> None:
    world.deliver(CUT)
    world.set_kill_switch(TradingState.HALTED, "prices look wrong")

    text = shown(ctx)

    assert "HALTED kill switch, by Ada at" in text
    assert "prices look wrong" in text
    assert re.search(r"PA\d+ broker account, bound to default", text)
    assert "1 plan needs attention" in text
    assert "1 of 2 orders as planned; BBB cut to" in text
    assert "rebalance explain cut BBB" in text
    before, sold, bought, after = (
        float(amount.replace(",", ""))
        for amount in re.search(
            r"Cash before \$([\d,.]+) \+ sold \$([\d,.]+) − bought \$([\d,.]+) = \$([\d,.]+)", text
        ).groups()  # type: ignore[union-attr]
    )
    assert before == 1000
    assert round(before + sold - bought, 2) == after


def test_unfinished_plan_comes_first_whatever_its_day_and_its_open_orders_are_listed(
    world: HandlerWorld, ctx: CliContext
) -> None:
    interrupted(world, "waiting")
    world.advance(86_400)

    text = shown(ctx, LiveQuery(ctx, "default"))

    assert "waiting" in text
    assert "No run works on it; the next run of the account continues it. The last one ended: PLAN_YIELDED" in text
    assert "rebalance watch waiting" in text


def test_account_without_a_plan_says_so(ctx: CliContext) -> None:
    text = shown(ctx)

    assert "No plan started on that day." in text
    assert "known after the first plan" in text


def test_names_cannot_inject_markup(world: HandlerWorld, ctx: CliContext) -> None:
    world.deliver(plan(buy("AAA", "100"), plan_id='<img src=x onerror="x">'))

    html = live_page.live_state(LiveQuery(ctx, "default", DAY).read(), ctx.command)

    assert "<img" not in html
    assert "&lt;img" in html


def test_finished_plans_are_read_once_and_later_plans_appear(world: HandlerWorld, ctx: CliContext) -> None:
    requests: list[str] = []
    client: Any = ctx.aws_client("dynamodb")
    client.meta.events.register("before-call", lambda model, **_: requests.append(model.name))
    for number in range(5):
        world.deliver(plan(buy("AAA", "10"), plan_id=f"plan-{number}"))
    query = LiveQuery(ctx, "default", DAY)

    counts = []
    for _ in range(3):
        requests.clear()
        query.read()
        counts.append(len(requests))

    assert counts[0] > counts[1] == counts[2]
    assert counts[2] <= 8, "switch, lease, binding, index, plan items"
    world.deliver(plan(buy("AAA", "10"), plan_id="later"))
    assert query.read().plans[0].plan.plan_id == "later"


def test_only_the_latest_plans_of_a_day_are_read(
    world: HandlerWorld, ctx: CliContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_PLANS", 2)
    for number in range(3):
        world.deliver(plan(buy("AAA", "10"), plan_id=f"plan-{number}"))
        world.advance(1)

    account = LiveQuery(ctx, "default", DAY).read()

    assert [record.plan.plan_id for record in account.plans] == ["plan-2", "plan-1"]
    assert account.omitted == 1
    assert "1 earlier plans are not shown" in shown(ctx)


def test_command_prints_the_address_serves_and_ends_with_ctrl_c(world: HandlerWorld, terminal: Terminal) -> None:
    states: list[str | None] = []

    def keep_reading(state: LatestState) -> None:
        states.append(state._read())
        raise KeyboardInterrupt

    world.deliver(CUT)
    with patch.object(LatestState, "keep_reading", keep_reading):
        done = terminal.type("serve", "--port", "0", "--day", DAY)

    assert done.exit_code == 0
    assert "http://127.0.0.1:" in done.stdout
    assert "Stopped." in done.stderr
    assert "cut to" in str(states[0])


def test_page_shows_the_journal_of_an_own_account_to_other_threads(tmp_path: Path) -> None:
    """A journal in a file may be bound to the thread that opened it; requests are answered by other threads."""
    keep_reading, states = LatestState.keep_reading, list[str | None]()

    def ask_while_reading(state: LatestState) -> None:
        def ask() -> None:
            states.append(state.get())
            state.close()

        asker = threading.Thread(target=ask)
        asker.start()
        keep_reading(state)
        asker.join()

    with machine(tmp_path) as own, patch.object(LatestState, "keep_reading", ask_while_reading):
        own.init()
        document = plan(buy("AAPL", "900"), plan_id="first", timestamp=datetime.now(UTC).isoformat())
        document |= {"total_portfolio_value": "10000", "total_trade_value": "900"}
        assert own.type("apply", own.file(document, "first.json")).exit_code == 0
        served = own.type("serve", "--port", "0")

    assert served.exit_code == 0, served.stderr
    assert "1 of 1 orders as planned" in str(states[0])
    assert "bound to default" in str(states[0])


def test_journal_that_does_not_answer_is_named_on_the_page(terminal: Terminal) -> None:
    states: list[str] = []

    def keep_reading(state: LatestState) -> None:
        states.append(state._read())
        raise KeyboardInterrupt

    with patch.object(LatestState, "keep_reading", keep_reading):
        Terminal(terminal.world, terminal.folder, {"EXECUTION_TABLE": "gone"}).type("serve", "--port", "0")

    assert "The journal cannot be read" in states[0]
    assert "rebalance doctor" in states[0]


def test_port_that_is_in_use_is_an_error_with_the_next_command(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = terminal.type("serve", "--port", str(port))

    assert done.exit_code == 2
    assert f"Port {port} cannot be used" in done.stderr
    assert "rebalance serve --port 0" in done.stderr


def test_day_that_is_none_is_a_usage_error(terminal: Terminal) -> None:
    assert terminal.type("serve", "--port", "0", "--day", "yesterday").exit_code == 2
