"""The quotes of a run: the tick size of a symbol, from the configuration or from what its usable quotes have shown."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.market import CENT, HALF_CENT, Trade
from rebalance_executor.execution.quotes import QuoteFeed
from tests.support.builders import NOW
from tests.support.fake_ports import FakePorts


def feed_of(**config: Any) -> tuple[FakePorts, QuoteFeed]:
    """Return a world with AAA on half cents and BBB on cents, and the quotes of a run in it."""
    fakes = FakePorts(quote_refresh_seconds=0, **config)
    fakes.broker.set_quote("AAA", "13.985", "13.995")
    return fakes, QuoteFeed(fakes.broker, fakes.clock, fakes.config)


def sizes(fakes: FakePorts, feed: QuoteFeed) -> tuple[Decimal, Decimal]:
    """Read both quotes again and return their tick sizes."""
    fakes.clock.sleep(timedelta(seconds=1))
    feed.refresh(["AAA", "BBB"])
    return feed.latest["AAA"].tick_size, feed.latest["BBB"].tick_size


def test_half_cent_tick_stays_once_a_quote_has_shown_it() -> None:
    fakes, feed = feed_of()
    assert sizes(fakes, feed) == (HALF_CENT, CENT)

    fakes.broker.set_quote("AAA", "13.98", "13.99")

    assert sizes(fakes, feed) == (HALF_CENT, CENT)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [("13.995", "13.985"), ("13.985", "0"), ("13.985", "17.00"), ("13.9851", "13.9949")],
    ids=["crossed", "one-sided", "too wide", "finer"],
)
def test_quote_that_must_not_price_an_order_shows_no_tick_for_later(bid: str, ask: str) -> None:
    fakes, feed = feed_of()
    fakes.broker.set_quote("AAA", bid, ask)
    sizes(fakes, feed)

    fakes.broker.set_quote("AAA", "13.98", "13.99")

    assert sizes(fakes, feed) == (CENT, CENT)


@pytest.mark.parametrize("own", [{"tick_size": "0.01"}, {"per_symbol": {"AAA": {"tick_size": "0.01"}}}])
def test_configured_cent_overrides_what_quotes_show(own: dict[str, object]) -> None:
    fakes, feed = feed_of(**own)

    assert sizes(fakes, feed) == (CENT, CENT)


def test_configured_half_cent_applies_before_a_quote_shows_it() -> None:
    fakes, feed = feed_of(per_symbol={"BBB": {"tick_size": "0.005"}})

    assert sizes(fakes, feed) == (HALF_CENT, HALF_CENT)


def test_last_trade_has_the_tick_of_its_symbol_and_shows_none() -> None:
    fakes, feed = feed_of(unusable_quote="last_trade", quote_wait_seconds=0)
    sizes(fakes, feed)
    for symbol in ("AAA", "BBB"):
        fakes.broker.set_quote(symbol, "0", "13.995")
        fakes.broker.trades[symbol] = Trade(symbol, Decimal("13.985"), NOW + timedelta(seconds=2))

    assert sizes(fakes, feed) == (HALF_CENT, CENT)
    assert feed.latest["BBB"].is_trade
