"""Fill rates and proposals as the command prints them."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any, cast

from rich.console import Console

from rebalance_cli.calibration.answers import Calibration, Scope, calibration
from rebalance_cli.calibration.estimates import MIN_PLANS
from rebalance_cli.calibration.observations import LeftOut, OrderClass, observe
from rebalance_cli.views.calibration import CLASSES, REASONS, calibration_view
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.own_costs import OwnCosts
from tests.support.synthetic_fills import Market, journals

CONFIG = ExecutionConfig()
FILLING = Market(lambda place: 0.05 + 0.15 * place)


def calibration_of(market: Market, config: ExecutionConfig = CONFIG, **drawn: Any) -> Calibration:
    """Return the calibration from drawn journals."""
    drawn_journals = journals(market, **drawn)
    scope = Scope("default", BrokerKind.LIVE, "2026-01-01", "2026-01-30", len(drawn_journals), {})
    return calibration(scope, observe(drawn_journals, config), config, Decimal(1), {})


def shown(market: Market, width: int = 100, config: ExecutionConfig = CONFIG, **drawn: Any) -> str:
    """Return what the command prints about these journals."""
    console = Console(width=width, file=StringIO())
    console.print(calibration_view(calibration_of(market, config, **drawn), width))
    return " ".join(str(cast("StringIO", console.file).getvalue()).split())


def test_own_history_is_printed_as_a_setting() -> None:
    scope = Scope("default", BrokerKind.LIVE, "2026-01-01", "2026-01-30", 0, {})
    answer = calibration(scope, observe([], CONFIG), CONFIG, Decimal(1), {})
    own = OwnCosts(half_spreads=Decimal("0.12"), orders=213, broker=BrokerKind.LIVE)
    console = Console(width=200, file=StringIO())
    console.print(calibration_view(answer.model_copy(update={"own_costs": own}), 200))
    printed = str(cast("StringIO", console.file).getvalue())

    assert f'"own_costs": {own.model_dump_json()}' in printed


def test_every_class_and_reason_has_a_text() -> None:
    assert set(CLASSES) == set(OrderClass)
    assert set(REASONS) == set(LeftOut)


def test_text_says_what_is_missing_and_that_nothing_is_proposed() -> None:
    text = shown(FILLING, plans=2)
    assert f"2 of {MIN_PLANS} plans" in text
    assert "Nothing is proposed, and nothing is applied." in text
    assert "Urgency Ladder" not in text, "no table without a ladder"


def test_text_says_why_a_proposal_changes_no_symbol() -> None:
    own: dict[str, Any] = {f"S{number}": {"ladder": {}} for number in range(5)}
    waiting_pays = Market(lambda _: 0.15, ticks=10, places=("0", "0.1", "0.3", "0.5", "1"))
    text = shown(waiting_pays, plans=100, config=ExecutionConfig.model_validate({"per_symbol": own}))
    assert "propose: the best of" in text
    assert "or a ladder of its own" in text


def test_text_of_no_orders() -> None:
    assert "no order of these plans rested" in shown(FILLING, plans=0)
