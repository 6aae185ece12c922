"""``rebalance costs`` on generated journals and on orders of a real run, and the later reading of market data."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rebalance_executor import bootstrap
from rebalance_executor.adapters.dynamodb.table import to_attributes
from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import BrokerKind
from tests.support import recomputed_costs as again
from tests.support.cost_journals import generated
from tests.support.terminal import Terminal
from tests.support.world import EXECUTION, HandlerWorld, a_world, buy, plan

DAY_AND_MORE = 40 * 3600
"""Seconds after which the trading day of the always open market is over."""


class NoMarketData:
    """Market data that cannot be read."""

    def __init__(self, _endpoint: object) -> None:
        pass

    def minutes(self, *_: object) -> NoReturn:
        """Fail as a subscription without this data does."""
        raise BrokerUnavailable("not part of the subscription")


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world() as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    return Terminal(world, tmp_path, {"COLUMNS": "100"})


def store(world: HandlerWorld, journals: Sequence[PlanJournal]) -> list[dict[str, Any]]:
    """Write the items of these plans, of the configured account; return their recomputed orders."""
    client, orders = world.session.client("dynamodb"), []
    for journal in journals:
        items = again.items_of(journal)
        orders += again.orders(items)
        for item in items:
            client.put_item(TableName=EXECUTION, Item=to_attributes(item))
    return orders


def costs(terminal: Terminal, *words: str, code: int = 0) -> Any:
    return terminal.json("cli/costs" if not code else "cli/failure", "costs", *words, code=code)


def test_empty_period_is_named_and_no_error(terminal: Terminal) -> None:
    shown = terminal.type("costs", "--from", "2026-01-05", "--to", "2026-01-06")

    assert shown.exit_code == 0
    assert "No order filled between 2026-01-05 and 2026-01-06." in shown.stdout
    assert costs(terminal)["kinds"] == []


@pytest.mark.parametrize(
    "words",
    [("--from", "2026-02-01", "--to", "2026-01-01"), ("--to", "someday"), ("--from", "2024-01-01")],
    ids=["wrong order", "no day", "more than a year"],
)
def test_bad_period_is_a_usage_error_with_a_next_step(terminal: Terminal, words: tuple[str, ...]) -> None:
    failure = costs(terminal, *words, code=2)
    assert (failure["code"], bool(failure["next"])) == ("USAGE", True)


def test_orders_of_a_real_run_have_costs_before_their_market_data_is_read(terminal: Terminal) -> None:
    terminal.world.deliver(plan(buy("AAA", "500"), buy("BBB", "500"), execution_urgency="LOW"))
    (kind,) = costs(terminal)["kinds"]
    shown = terminal.type("costs")

    assert (kind["broker"], kind["total"]["orders"], kind["total"]["read"]) == ("simulated", 2, 0)
    assert [group["name"] for group in kind["groups"]["urgency"]] == ["LOW"]
    assert [group["name"] for group in kind["groups"]["style"]] == ["marketable_limit"]
    assert "not read yet" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "Next      rebalance costs --from 2025-12-28 --to 2026-01-26 --update"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answer_is_recomputed_from_the_items_of_the_table(terminal: Terminal, seed: int) -> None:
    orders = store(terminal.world, generated(seed))
    (kind,) = costs(terminal)["kinds"]

    assert Decimal(kind["total"]["dollars"]) == sum(again.cents(order["dollars"]) for order in orders)
    known = [order for order in orders if order["cost"] is not None]
    assert Decimal(kind["total"]["cost"]["amount"]) == sum(again.cents(order["cost"]) for order in known)
    exact = sum(order["cost"] for order in known), sum(order["dollars"] for order in known)
    assert Decimal(kind["total"]["cost"]["bps"]) == again.bps(*exact)


def test_csv_has_one_row_per_order_with_its_figures(terminal: Terminal) -> None:
    orders = store(terminal.world, generated(5))
    path = terminal.folder / "costs.csv"
    assert terminal.type("costs", "--csv", str(path)).exit_code == 0
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))

    by_key = {(row["plan_id"], row["symbol"]): row for row in rows}
    assert len(rows) == len(orders)
    for order in orders:
        row = by_key[order["plan_id"], order["symbol"]]
        assert Decimal(row["dollars"]) == again.cents(order["dollars"])
        assert (
            row["cost_dollars"] == ""
            if order["cost"] is None
            else Decimal(row["cost_dollars"]) == again.cents(order["cost"])
        )
        for name, amount in order["benchmarks"].items():
            assert Decimal(row[f"{name}_dollars"]) == again.cents(amount)
        for name, amount in order["markouts"].items():
            assert Decimal(row[f"markout_{name}_dollars"]) == again.cents(amount)
        assert row["is_read"] == str(order["is_read"]).lower()


def test_plans_of_different_kinds_of_brokers_are_never_summed(terminal: Terminal) -> None:
    live = store(terminal.world, generated(6, plans=2, broker=BrokerKind.LIVE))
    simulated = store(terminal.world, generated(7, plans=3))
    kinds = {kind["broker"]: kind["total"]["orders"] for kind in costs(terminal)["kinds"]}
    (only,) = costs(terminal, "--broker", "live")["kinds"]
    shown = terminal.type("costs").stdout

    assert kinds == {"live": len(live), "simulated": len(simulated)}
    assert (only["broker"], only["total"]["orders"]) == ("live", len(live))
    assert shown.index("Money     real") < shown.index("Money     simulated, its fills say nothing about live costs")


@pytest.mark.parametrize("by", ["symbol", "urgency", "size", "style", "day"])
def test_orders_are_grouped_by_what_is_asked_for(terminal: Terminal, by: str) -> None:
    orders = store(terminal.world, generated(8))
    (kind,) = costs(terminal, "--by", by)["kinds"]

    assert list(kind["groups"]) == [by]
    assert sum(group["orders"] for group in kind["groups"][by]) == len(orders)


def test_unfinished_plan_is_left_out_and_named(terminal: Terminal) -> None:
    (journal,) = generated(9, plans=1)
    items = [item for item in again.items_of(journal) if not item["sk"].startswith("RESULT#")]
    client = terminal.world.session.client("dynamodb")
    for item in items:
        client.put_item(TableName=EXECUTION, Item=to_attributes(item))

    assert (costs(terminal)["kinds"], costs(terminal)["unfinished"]) == ([], [journal.plan.plan_id])


def test_tables_fit_and_costs_write_nothing(terminal: Terminal) -> None:
    store(terminal.world, generated(10, plans=6, orders=6))
    client = terminal.world.session.client("dynamodb")
    before = client.scan(TableName=EXECUTION)["Items"]
    for width in (80, 100, 160):
        shown = Terminal(terminal.world, terminal.folder, {"COLUMNS": str(width)}).type("costs").stdout
        *lines, last = shown.splitlines()
        assert max(map(len, lines)) <= width
        assert last.startswith("Next")
    assert client.scan(TableName=EXECUTION)["Items"] == before


def test_page_that_cannot_be_written_is_an_error_with_its_path(terminal: Terminal) -> None:
    store(terminal.world, generated(11, plans=1))
    for option in ("--html", "--csv"):
        done = terminal.type("costs", option, str(terminal.folder / "missing" / "file"))
        assert done.exit_code == 2
        assert "missing/file" in done.stderr.replace("\n", "")


def test_page_names_the_kind_of_broker_of_every_section(terminal: Terminal) -> None:
    store(terminal.world, generated(6, plans=1, broker=BrokerKind.PAPER))
    path = terminal.folder / "costs.html"
    assert terminal.type("costs", "--html", str(path)).exit_code == 0
    assert "paper, its fills say nothing about live costs" in path.read_text(encoding="utf-8")


# --- market data -----------------------------------------------------------------------------------------


def test_update_reads_what_is_missing_and_the_report_shows_it(terminal: Terminal) -> None:
    """The simulated broker's market stands still at $99.99 to $100.01; ten shares fill at the ask."""
    terminal.world.deliver(plan(buy("AAA", "1000")))
    assert costs(terminal, "--update")["update"] == {"read": 0, "not_due": 1, "left": 0, "failed": []}
    assert "not read yet" in terminal.type("report", "plan-1").stdout

    terminal.world.advance(DAY_AND_MORE)
    answer = costs(terminal, "--update")

    (order,) = answer["kinds"][0]["orders"]
    assert answer["update"]["read"] == 1
    assert (order["is_read"], order["missing"]) == (True, [])
    assert set(order["benchmarks"]) == {"vwap", "close", "previous_close"}
    assert {order["benchmarks"][name]["amount"] for name in ("vwap", "close")} == {"0.1"}
    assert {one["amount"] for one in order["markouts"].values()} == {"-0.1"}
    assert "not read yet" not in terminal.type("report", "plan-1").stdout
    assert costs(terminal, "--update")["update"]["read"] == 0


def test_update_that_fails_names_the_plan_and_shows_the_rest(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "AlpacaHistory", NoMarketData)
    terminal.world.deliver(plan(buy("AAA", "1000")))
    terminal.world.advance(DAY_AND_MORE)
    answer = costs(terminal, "--update")

    assert answer["update"]["failed"] == [
        {"plan_id": "plan-1", "reason": "not part of the subscription", "is_given_up": False}
    ]
    assert answer["kinds"][0]["total"]["orders"] == 1


def test_daily_check_reads_the_plans_of_the_day_before(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    world = terminal.world
    monkeypatch.setattr(bootstrap, "AlpacaHistory", NoMarketData)
    world.deliver(plan(buy("AAA", "1000")))
    world.advance(DAY_AND_MORE)

    failed = world.deliver({"watch": True})
    monkeypatch.undo()
    read = world.deliver({"watch": True})

    checks = [next(check for check in answer["checks"] if check["name"] == "costs") for answer in (failed, read)]
    assert [(check["ok"], check["warning"]) for check in checks] == [(True, True), (True, False)]
    assert failed["healthy"] == read["healthy"]
    assert [line["plan_id"] for line in world.log_lines("costs.read")] == ["plan-1"]
    assert costs(terminal)["kinds"][0]["total"]["read"] == 1


def test_result_of_the_plan_is_not_changed_by_the_reading(terminal: Terminal) -> None:
    event = plan(buy("AAA", "1000"))
    result = terminal.world.deliver(event)
    terminal.world.advance(DAY_AND_MORE)
    terminal.world.deliver({"watch": True})
    assert terminal.json("execution-result", "report", "plan-1") == result
