"""Forecast of what a parent order costs against its arrival mid, with a 90 % interval, before it is sent.

Half the spread is what a market order costs; waiting saves a part of it. ``docs/evidence/forecast.md`` judges the
method on days that it was not fitted to.

**Mean.** A rung is a race between two events (as in Cont and de Larrard 2013, here with constant rates): trades work
off the queue, and we save ``1 − place`` of the half spread, or the mid moves by a spread and the order is left behind.
Their rates per second, with the half spread ``h`` and the volatility ``v`` in basis points::

    trades = flow · shares traded per second on one side / (shares ahead + own shares)
    moves  = moves · (v / 2h)²                                      the diffusion of the mid over a spread
    saved  = gain · Σ survival · trades / (trades + moves) · (1 − e^(−(trades + moves) · seconds)) · (1 − place)
    impact = impact · v · √(shares beyond five times the display / shares traded per second)
    cost   = h · (1 − saved) + impact

The impact is the square-root law (Tóth et al. 2011; Almgren et al. 2005 find the power 0.6), of the shares that a child
wants beyond what is displayed and soon filled up again. An order in slices is a child of one slice.

**Interval.** The price risk is ``v · √seconds``, for the time until the price has first moved by ``h`` (first passage
of a Brownian motion, as in Lo, MacKinlay and Zhang 2002) but no longer than the ladder. Slices that are filled evenly
over a horizon add a third of it. Prices move by whole spreads, which adds a step; the volatility of a day is off by
about 30 %, which widens the normal quantiles by 13 %. No order in one piece costs less than its first rung, so that
its interval has all of its 10 % at the dear end.

**Own history.** ``own_costs`` moves the mean by what the account's own orders paid beyond it, shrunk by their number.

The method says why it does not know, instead of guessing. It uses floating-point numbers: nothing is traded on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import erf, exp, pi, sqrt

from rebalance_executor.domain.config import SESSION_MINUTES, ExecutionConfig
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.ladder import FAR, ONE_SHARE, WaveSchedule, rung_price
from rebalance_executor.domain.market import BrokerKind, Quote, Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.pricing import far_touch, tick
from rebalance_executor.domain.session import minutes_since_open
from rebalance_executor.domain.slicing import slices_of
from rebalance_executor.domain.styles import OrderStyle

MAX_SHARE_OF_VOLUME = Decimal("0.05")
"""Share of the average volume above which nothing is forecast: own impact, which the fit does not contain, decides."""
MAX_RESTING_SECONDS = 600
"""Seconds of a whole ladder above which nothing is forecast: the longest that was fitted takes four minutes."""

_SESSION_SECONDS = 60 * SESSION_MINUTES
_BPS = 10_000
_LATENCY = 0.15
"""Seconds between the quote that an order is priced by and its arrival at the market."""
_ONE_SIDED, _TWO_SIDED = 1.45, 1.86
"""Quantiles of an interval with 10 % at one end, and with 5 % at both: the normal's, 1.28 and 1.645, times 1.13."""
_REFILLED = 5
"""Displayed sizes that trade at the touch while a child rests there, because it is filled up again."""
_IMPACT_VARIES = 2.0
"""Standard deviation of the impact of one order, as a multiple of its mean."""
_NEVER = 6
"""Standard deviations that the price does not move in the time of a ladder."""
_OF_EVEN_FILLS = 1 / 3
"""Variance of the average price of fills spread evenly over a time, as a part of the variance over that time."""
_BY_TIME_OF_DAY = ((30, 2.0), (60, 1.4), (SESSION_MINUTES, 0.85))
"""Volatility and trading, until so many minutes after the open, as a multiple of the day's."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of the method that are fitted, the same for all symbols. They have no unit."""

    flow: float
    """Trades that work off the queue, as a multiple of half of the average volume."""
    moves: float
    """Moves of the mid by a spread, as a multiple of those of a Brownian motion."""
    gain: float
    """Part of the half spread that a fill at our own side keeps."""
    impact: float
    """Factor of the square-root law."""
    step: float
    """Standard deviation, in half spreads, because prices move by whole spreads."""


FITTED = Parameters(flow=0.31, moves=1.11, gain=0.90, impact=0.18, step=0.6)
"""``python -m benchmarks.replay.forecast --fit`` estimated them on one day: ``docs/evidence/forecast.md``."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The market when a parent order arrives."""

    quote: Quote
    at: datetime
    volume: Decimal | None
    """Average shares per day; None if unknown."""
    volatility: Decimal | None
    """Standard deviation of a day's return, as a fraction; None if unknown."""
    unknown_reason: str | None = None
    """Reason why volume or volatility is unknown."""
    broker: BrokerKind = BrokerKind.SIMULATED
    """Kind of the broker, which decides whether the account's own history counts."""


def forecast(
    parent: ParentOrder,
    conditions: Conditions,
    schedule: WaveSchedule,
    config: ExecutionConfig,
    parameters: Parameters = FITTED,
) -> CostForecast:
    """Return the forecast of a parent order that starts now.

    Args:
        parent: the sized order.
        conditions: the market at its arrival.
        schedule: the schedule of its wave.
        config: the configuration of its symbol.
        parameters: the fitted numbers.
    """
    reason = _unknown_reason(parent, conditions, schedule, config)
    if reason is not None:
        return CostForecast(reason=reason)
    own = config.own_costs.shift(conditions.broker) if config.own_costs is not None else 0.0
    return WorkedOrder.of(parent, conditions, schedule, config).forecast(parameters, own)


def _unknown_reason(
    parent: ParentOrder, conditions: Conditions, schedule: WaveSchedule, config: ExecutionConfig
) -> str | None:
    quote = conditions.quote
    if parent.auction is not None:
        return "the price of an auction is not forecast"
    if quote.is_trade or quote.problem is not None:
        return "there is no usable quote"
    if not 0 <= minutes_since_open(conditions.at) < SESSION_MINUTES:
        return "the regular session is not open"
    if conditions.volume is None or not conditions.volatility:
        return conditions.unknown_reason or "the volatility is unknown: the daily bars show no range of prices"
    if not quote.bid_size or not quote.ask_size:
        return "the displayed sizes are unknown"
    if parent.qty > MAX_SHARE_OF_VOLUME * conditions.volume:
        return f"the order is larger than {MAX_SHARE_OF_VOLUME:.0%} of the average daily volume"
    if sum(seconds for _, seconds in _rungs(parent, quote, schedule, config)) > MAX_RESTING_SECONDS:
        return f"the ladder rests for more than {MAX_RESTING_SECONDS} seconds"
    return None


def _rungs(
    parent: ParentOrder, quote: Quote, schedule: WaveSchedule, config: ExecutionConfig
) -> list[tuple[float, float]]:
    """Return place and seconds of each rung before the far touch, on tick; none if the order crosses at once."""
    if config.order_style is not OrderStyle.LADDER or parent.qty < ONE_SHARE:
        return []
    steps, near = config.ladder[schedule.urgency], far_touch(_other(parent.side), quote)
    prices = (rung_price(parent.side, quote, place) for place in steps.spread_fractions if place < FAR)
    width = max(quote.ask - quote.bid, tick(quote.ask, quote.tick_size))
    return [(float(abs(price - near) / width), float(steps.wait_seconds)) for price in prices]


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


@dataclass(frozen=True, slots=True)
class WorkedOrder:
    """An order as it is worked, in the units of the method: basis points, shares and seconds."""

    rungs: Sequence[tuple[float, float]]
    half_spread: float
    volatility: float
    """Basis points per square root of a second."""
    traded: float
    """Shares per second."""
    ahead: float
    displayed: float
    shares: float
    """Shares of one child."""
    horizon: float | None
    """Seconds over which the slices are spread; None without slices."""

    @classmethod
    def of(
        cls, parent: ParentOrder, conditions: Conditions, schedule: WaveSchedule, config: ExecutionConfig
    ) -> WorkedOrder:
        """Return the order in these units. With slices the ladder is as long as one of them allows."""
        quote, now = conditions.quote, minutes_since_open(conditions.at)
        rungs = _rungs(parent, quote, schedule, config)
        slices = slices_of(parent, schedule, conditions.at, config)
        busy = next(factor for until, factor in _BY_TIME_OF_DAY if now < until)
        shares, horizon = parent.qty, None
        if slices is not None:
            shares, horizon = slices.qty / slices.number, (slices.ends - slices.starts).total_seconds()
            in_time = min(1.0, 0.75 * horizon / slices.number / max(sum(seconds for _, seconds in rungs), 1.0))
            rungs = [(place, seconds * in_time) for place, seconds in rungs]
        half = max(quote.ask - quote.bid, tick(quote.ask, quote.tick_size) / 2) / 2  # touches that are equal for now
        return cls(
            rungs=rungs,
            half_spread=float(half / quote.mid) * _BPS,
            volatility=float(conditions.volatility or 0) * _BPS / sqrt(_SESSION_SECONDS) * busy,
            traded=float(conditions.volume or 0) / _SESSION_SECONDS * busy,
            ahead=float(quote.displayed(_other(parent.side))),
            displayed=float(quote.displayed(parent.side)),
            shares=float(shares),
            horizon=horizon,
        )

    def mean(self, fitted: Parameters) -> float:
        """Return the expected cost."""
        return self.half_spread * (1 - self._saved(fitted)) + self._impact(fitted)

    def forecast(self, fitted: Parameters, own: float = 0.0) -> CostForecast:
        """Return mean and interval, moved by ``own`` half spreads that the account's orders paid beyond it."""
        mean = self.mean(fitted) + own * self.half_spread
        step = fitted.step * self.half_spread if self.rungs else 0.0
        variance = self.volatility**2 * self._working_seconds() + step**2 + (_IMPACT_VARIES * self._impact(fitted)) ** 2
        if self.horizon is not None:
            risk = _TWO_SIDED * sqrt(variance + self.volatility**2 * self.horizon * _OF_EVEN_FILLS)
            return CostForecast.of(mean, mean - risk, mean + risk)
        first = self.rungs[0][0] if self.rungs else 1.0
        best = self.half_spread * (2 * first - 1) - _ONE_SIDED * self.volatility * sqrt(_LATENCY)
        return CostForecast.of(mean, min(best, mean), mean + _ONE_SIDED * sqrt(variance))

    def _impact(self, fitted: Parameters) -> float:
        beyond = max(0.0, self.shares - _REFILLED * self.displayed)
        return fitted.impact * self.volatility * sqrt(beyond / self.traded)

    def _saved(self, fitted: Parameters) -> float:
        """Return the part of the half spread that waiting saves."""
        trades = fitted.flow * self.traded / 2 / (self.ahead + self.shares)
        moves = fitted.moves * (self.volatility / (2 * self.half_spread)) ** 2
        saved, survival = 0.0, 1.0
        for place, seconds in self.rungs:
            ends = 1 - exp(-(trades + moves) * seconds)
            saved += survival * ends * trades / (trades + moves) * (1 - place)
            survival *= 1 - ends
        return fitted.gain * saved

    def _working_seconds(self) -> float:
        """Return the expected time until the price first moves by half a spread, at most that of the ladder."""
        longest = sum(seconds for _, seconds in self.rungs) + _LATENCY
        y = self.half_spread / (self.volatility * sqrt(2 * longest))
        if y > _NEVER:
            return longest
        return longest * ((1 + 2 * y * y) * erf(y) + 2 * y / sqrt(pi) * exp(-y * y) - 2 * y * y)
