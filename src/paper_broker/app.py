"""The running broker without its sockets: exchange, clock, faults, rate limits and request counts."""

import hmac
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from paper_broker.errors import unauthorized
from paper_broker.exchange import Exchange
from paper_broker.faults import FaultPlan
from paper_broker.formats import Wire, moment, parse_instant
from paper_broker.scenario import check, default_world
from paper_broker.state_json import json_object, json_text

_FORMAT = 2
_LOGGED = 1000
"""Requests that are remembered one by one."""
_MINUTE = 60
_TIME_KEYS = frozenset({"mode", "now", "advance_seconds"})
_BUDGETS = {"trading": 200, "data": 200}
"""Requests a minute. Alpaca: 200 on trading for each account, and a budget of its own for market data."""


class VenueClock:
    """Real time, perhaps shifted, or a virtual time that stands still until it is moved."""

    def __init__(self, real: Callable[[], datetime]) -> None:
        self._real = real
        self._shift = timedelta(0)
        self._fixed: datetime | None = None

    def __call__(self) -> datetime:
        """The time, aware."""
        return self._fixed if self._fixed is not None else self._real() + self._shift

    def set(self, settings: Mapping[str, Any]) -> None:
        """Follow a scenario: ``mode`` (``real`` or ``virtual``), ``now``, ``advance_seconds``.

        Raises:
            ValueError: for an unknown mode, an unreadable time, or a step back in time.
        """
        mode = settings.get("mode") or ("virtual" if "now" in settings else None)
        if mode not in (None, "real", "virtual"):
            raise ValueError(f"clock mode is {mode!r}: write real or virtual.")
        step = timedelta(seconds=float(settings.get("advance_seconds", 0)))
        if step < timedelta(0):
            raise ValueError("advance_seconds must not be negative: time goes forward.")
        if mode == "real":
            self._fixed, self._shift = None, timedelta(0)
        elif mode == "virtual":
            moved = moment(parse_instant(settings["now"])) if "now" in settings else self()
            if self._fixed is not None and moved < self._fixed:
                raise ValueError(f"now is {moved}, and it is {self._fixed} already: time goes forward.")
            self._fixed = moved
        if self._fixed is None:
            self._shift += step
        else:
            self._fixed += step

    def dump(self) -> Wire:
        """What :meth:`load` takes."""
        fixed = None if self._fixed is None else self._fixed.isoformat()
        return {"fixed": fixed, "shift_seconds": self._shift.total_seconds()}

    def load(self, state: Wire) -> None:
        """Go on with the time that was dumped."""
        self._fixed = None if state["fixed"] is None else datetime.fromisoformat(state["fixed"])
        self._shift = timedelta(seconds=state["shift_seconds"])


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a minute's requests, for the ``X-RateLimit-`` headers."""

    limit: int
    remaining: int
    reset: int
    """Seconds since the epoch."""
    exceeded: bool


class RateLimiter:
    """Fixed windows of one minute, one budget for trading and one for market data."""

    def __init__(self) -> None:
        self.limits = dict(_BUDGETS)
        self._used: Counter[str] = Counter()
        self._window = 0

    def take(self, budget: str, now: datetime) -> Allowance:
        """Count one request."""
        window = int(now.timestamp()) // _MINUTE
        if window != self._window:
            self._window, self._used = window, Counter()
        self._used[budget] += 1
        limit, used = self.limits[budget], self._used[budget]
        return Allowance(limit, max(limit - used, 0), (window + 1) * _MINUTE, used > limit)

    def used(self, now: datetime) -> Mapping[str, int]:
        """Requests of this minute, by budget."""
        return self._used if int(now.timestamp()) // _MINUTE == self._window else Counter()

    def set(self, limits: Mapping[str, int]) -> None:
        """Change the limits.

        Raises:
            ValueError: for an unknown budget.
        """
        if unknown := limits.keys() - _BUDGETS.keys():
            raise ValueError(f"Unknown rate limits {sorted(unknown)}: choose from {sorted(_BUDGETS)}.")
        self.limits |= limits


def _real_time() -> datetime:
    return datetime.now(UTC)


class Venue:
    """One broker in the process.

    Args:
        scenario: the world to begin with; none is the default world.
        real_time: what the clock follows in ``real`` mode.
    """

    def __init__(
        self, scenario: Mapping[str, Any] | None = None, real_time: Callable[[], datetime] = _real_time
    ) -> None:
        self._real_time = real_time
        self.begin(default_world() if scenario is None else scenario)

    def begin(self, scenario: Mapping[str, Any]) -> None:
        """A new world: no orders, no counts.

        Raises:
            ValueError: for what no scenario may say; the old world stays.
        """
        check(scenario)
        clock, limiter = VenueClock(self._real_time), RateLimiter()
        clock.set(_time_settings(scenario))
        limiter.set(scenario.get("rate_limit", {}))
        faults = FaultPlan(scenario.get("faults", ()))
        self.exchange = Exchange(scenario, clock)
        self.clock, self.limiter, self.faults = clock, limiter, faults
        self.requests: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.log: deque[Wire] = deque(maxlen=_LOGGED)
        """The newest requests, oldest first: what was asked, which fault they met, which status they got."""

    def merge(self, world: Mapping[str, Any]) -> None:
        """Change the world, leave the orders and the counts.

        Raises:
            ValueError: for what no scenario may say; the world stays as it is.
        """
        check(world)
        if world.keys() == {"clock"} and world["clock"].keys() <= _TIME_KEYS:
            self.clock.set(world["clock"])  # often asked for, and done without a copy to go back to
            self.exchange.advance()
            return
        before = self.dump()
        try:
            self.faults.arm(world.get("faults", ()))
            self.limiter.set(world.get("rate_limit", {}))
            self.clock.set(_time_settings(world))
            self.exchange.merge(world)
        except Exception:
            self._restore(before)
            raise

    def authorize(self, key: str, secret: str) -> None:
        """Refuse missing keys, and wrong ones if the scenario names the right ones.

        Raises:
            BrokerError: 401.
        """
        account = self.exchange.account_settings
        right_key, right_secret = account.api_key or key, account.secret_key or secret
        if not key or not secret or not (_same(key, right_key) and _same(secret, right_secret)):
            raise unauthorized()

    def count(self, budget: str, template: str, entry: Wire) -> Allowance:
        """Count a request among those of its path and of this minute, and remember it in the log."""
        self.requests[template] += 1
        self.totals[budget] += 1
        self.log.append(entry)
        return self.limiter.take(budget, self.clock())

    def forget_requests(self) -> None:
        """Count from zero again."""
        self.requests.clear()
        self.totals.clear()
        self.log.clear()

    def json_pieces(self) -> Iterator[str]:
        """The whole state as JSON text; request counts are not part of it. Use it before anything changes."""
        return json_object(
            {
                "format": json_text(_FORMAT),
                "clock": json_text(self.clock.dump()),
                "faults": json_text(self.faults.dump()),
                "rate_limit": json_text(self.limiter.limits),
                "exchange": self.exchange.json_pieces(),
            }
        )

    def dump(self) -> Wire:
        """The whole state, ready for JSON; a copy."""
        return dict(json.loads("".join(self.json_pieces())))

    @classmethod
    def load(cls, state: Wire, real_time: Callable[[], datetime] = _real_time) -> "Venue":
        """Go on from a dumped state.

        Raises:
            ValueError: if it was written in another format, or something is missing.
        """
        if state.get("format") != _FORMAT:
            raise ValueError(
                f"The state has format {state.get('format')!r}, and this broker reads {_FORMAT}. Move it away."
            )
        venue = cls({}, real_time)
        try:
            venue._restore(state)
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"The state cannot be read: {type(error).__name__} {error}.") from error
        return venue

    def _restore(self, state: Wire) -> None:
        self.clock.load(state["clock"])
        self.faults = FaultPlan(state["faults"])
        self.limiter.set(state["rate_limit"])
        self.exchange = Exchange.load(state["exchange"], self.clock)


def _time_settings(world: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in world.get("clock", {}).items() if name in _TIME_KEYS}


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
