"""The broker without its HTTP server: exchange, clock, faults, rate limits and request counts."""

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
from paper_broker.formats import JsonObject, parse_instant, to_datetime
from paper_broker.scenario import check_keys, default_world
from paper_broker.state_json import json_object, json_text

_FORMAT = 6
_LOG_LENGTH = 1000
"""Number of requests kept in the log."""
_MINUTE = 60
_TIME_KEYS = frozenset({"mode", "now", "advance_seconds"})
_BUDGETS = {"trading": 200, "data": 200}
"""Requests per minute. Alpaca allows 200 trading requests per account and counts market data separately."""


class BrokerClock:
    """The broker's clock: real time with an optional offset, or a virtual time that changes only when it is set."""

    def __init__(self, real: Callable[[], datetime]) -> None:
        self._real = real
        self._shift = timedelta(0)
        self._fixed: datetime | None = None

    def __call__(self) -> datetime:
        """Return the current time, aware."""
        return self._fixed if self._fixed is not None else self._real() + self._shift

    def set(self, settings: Mapping[str, Any]) -> None:
        """Apply the clock settings of a scenario: ``mode`` (``real`` or ``virtual``), ``now``, ``advance_seconds``.

        Raises:
            ValueError: an unknown mode, an invalid time, or a step back in time.
        """
        mode = settings.get("mode") or ("virtual" if "now" in settings else None)
        if mode not in (None, "real", "virtual"):
            raise ValueError(f"Unknown clock mode {mode!r}: choose real or virtual.")
        step = timedelta(seconds=float(settings.get("advance_seconds", 0)))
        if step < timedelta(0):
            raise ValueError("advance_seconds must be from 0: the clock only moves forward.")
        if mode == "real":
            self._fixed, self._shift = None, timedelta(0)
        elif mode == "virtual":
            now = to_datetime(parse_instant(settings["now"])) if "now" in settings else self()
            if self._fixed is not None and now < self._fixed:
                raise ValueError(f"now must be from {self._fixed}, not {now}: the clock only moves forward.")
            self._fixed = now
        if self._fixed is None:
            self._shift += step
        else:
            self._fixed += step

    def dump(self) -> JsonObject:
        """Return the clock as :meth:`load` accepts it."""
        fixed = None if self._fixed is None else self._fixed.isoformat()
        return {"fixed": fixed, "shift_seconds": self._shift.total_seconds()}

    def load(self, state: JsonObject) -> None:
        """Restore a dumped clock."""
        self._fixed = None if state["fixed"] is None else datetime.fromisoformat(state["fixed"])
        self._shift = timedelta(seconds=state["shift_seconds"])


@dataclass(frozen=True, slots=True)
class Allowance:
    """Requests left in this minute, for the ``X-RateLimit-`` headers."""

    limit: int
    remaining: int
    reset: int
    """Seconds since the epoch."""
    exceeded: bool


class RateLimiter:
    """Rate limits with fixed windows of one minute; trading and market data have separate budgets."""

    def __init__(self) -> None:
        self.limits = dict(_BUDGETS)
        self._used: Counter[str] = Counter()
        self._window = 0

    def acquire(self, budget: str, now: datetime) -> Allowance:
        """Count one request and return what is left."""
        window = int(now.timestamp()) // _MINUTE
        if window != self._window:
            self._window, self._used = window, Counter()
        self._used[budget] += 1
        limit, used = self.limits[budget], self._used[budget]
        return Allowance(limit, max(limit - used, 0), (window + 1) * _MINUTE, used > limit)

    def used(self, now: datetime) -> Mapping[str, int]:
        """Return the number of requests in this minute by budget."""
        return self._used if int(now.timestamp()) // _MINUTE == self._window else Counter()

    def set(self, limits: Mapping[str, int]) -> None:
        """Change the limits.

        Args:
            limits: requests per minute by budget.

        Raises:
            ValueError: an unknown budget.
        """
        if unknown := limits.keys() - _BUDGETS.keys():
            raise ValueError(f"Unknown rate limits: {sorted(unknown)}. Choose from {sorted(_BUDGETS)}.")
        self.limits |= limits


def _real_time() -> datetime:
    return datetime.now(UTC)


class App:
    """One broker, independent of how it is served.

    Args:
        scenario: the initial scenario; None is the default scenario.
        real_time: source of the time in ``real`` mode.
    """

    def __init__(
        self, scenario: Mapping[str, Any] | None = None, real_time: Callable[[], datetime] = _real_time
    ) -> None:
        self._real_time = real_time
        self.reset(default_world() if scenario is None else scenario)

    def reset(self, scenario: Mapping[str, Any]) -> None:
        """Start again with this scenario, without orders and request counts.

        Raises:
            ValueError: the scenario is invalid. Nothing changes then.
        """
        check_keys(scenario)
        clock, limiter = BrokerClock(self._real_time), RateLimiter()
        clock.set(_time_settings(scenario))
        limiter.set(scenario.get("rate_limit", {}))
        faults = FaultPlan(scenario.get("faults", ()))
        self.exchange = Exchange(scenario, clock)
        self.clock, self.limiter, self.faults = clock, limiter, faults
        self.requests: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.log: deque[JsonObject] = deque(maxlen=_LOG_LENGTH)
        """The most recent requests, oldest first, with the fault that applied and the status of the response."""

    def merge(self, world: Mapping[str, Any]) -> None:
        """Apply part of a scenario; keep orders and request counts.

        Raises:
            ValueError: the scenario is invalid. Nothing changes then.
        """
        check_keys(world)
        if world.keys() == {"clock"} and world["clock"].keys() <= _TIME_KEYS:
            self.clock.set(world["clock"])  # frequent, and all or nothing: skip the copy for the rollback
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
        """Check the API keys. Any pair is accepted unless the scenario defines one.

        Raises:
            BrokerError: 401 if a key is missing or wrong.
        """
        account = self.exchange.account_settings
        valid_key, valid_secret = account.api_key or key, account.secret_key or secret
        if not key or not secret or not (_same(key, valid_key) and _same(secret, valid_secret)):
            raise unauthorized()

    def count_request(self, budget: str, template: str, entry: JsonObject) -> Allowance:
        """Count a request by path and budget, and add it to the log."""
        self.requests[template] += 1
        self.totals[budget] += 1
        self.log.append(entry)
        return self.limiter.acquire(budget, self.clock())

    def clear_requests(self) -> None:
        """Reset the request counts and the log."""
        self.requests.clear()
        self.totals.clear()
        self.log.clear()

    def json_pieces(self) -> Iterator[str]:
        """Return the whole state as JSON text, without request counts. Consume it before the next change."""
        return json_object(
            {
                "format": json_text(_FORMAT),
                "clock": json_text(self.clock.dump()),
                "faults": json_text(self.faults.dump()),
                "rate_limit": json_text(self.limiter.limits),
                "exchange": self.exchange.json_pieces(),
            }
        )

    def dump(self) -> JsonObject:
        """Return a copy of the whole state, ready for JSON."""
        return dict(json.loads("".join(self.json_pieces())))

    @classmethod
    def load(cls, state: JsonObject, real_time: Callable[[], datetime] = _real_time) -> "App":
        """Return a broker with a dumped state.

        Raises:
            ValueError: the state has another format, or is incomplete.
        """
        if state.get("format") != _FORMAT:
            raise ValueError(
                f"The state has format {state.get('format')!r}; this version reads format {_FORMAT}. "
                "Move the file away to start with a new state."
            )
        app = cls({}, real_time)
        try:
            app._restore(state)
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"The state cannot be read: {type(error).__name__} {error}.") from error
        return app

    def _restore(self, state: JsonObject) -> None:
        self.clock.load(state["clock"])
        self.faults = FaultPlan(state["faults"])
        self.limiter.set(state["rate_limit"])
        self.exchange = Exchange.load(state["exchange"], self.clock)


def _time_settings(world: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in world.get("clock", {}).items() if name in _TIME_KEYS}


def _same(given: str, valid: str) -> bool:
    return hmac.compare_digest(given.encode(), valid.encode())
