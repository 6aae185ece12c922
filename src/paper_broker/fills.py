"""Fill behaviour: scripts for the execution of orders, and the rules that choose a script for an order.

A script lists parts of the quantity with the times at which they execute, and optionally a terminal status set by the
broker. ``marketable`` and ``random`` orders wait until they are marketable and execute at the touch. All others execute
as scripted: at the touch if the order is marketable, otherwise at its limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from random import Random
from typing import Any, Protocol

from paper_broker.errors import scripted_error
from paper_broker.formats import ONE, ZERO, duration

OPTIONS = frozenset({
    "behaviour", "after_seconds", "parts", "fraction", "price", "error", "pending_new_seconds",
    "price_pending_seconds", "cancel_seconds", "replace_seconds", "fill_beats_cancel", "fill_beats_replace",
    "status", "at_close", "filled_qty_lag_seconds", "late_fill", "rejected_in_answer", "cancel_ignored",
    "displayed_seconds",
})  # fmt: skip
"""Keys of a fill behaviour."""
_MATCHES = frozenset({"symbol", "side", "type", "client_order_id", "nth"})
_MOST_PIECES = 200
"""Pieces in which an order executes; the last one is all that remains."""
_PARTIAL_ODDS = 0.10
"""Probability of a partial fill. Alpaca's paper trading fills about one order in ten partially."""


@dataclass(frozen=True, slots=True)
class Part:
    """A fraction of the order, and its delay in nanoseconds after the order starts working."""

    fraction: Decimal
    after: int


@dataclass(frozen=True, slots=True)
class LateFill:
    """A fraction of the order that executes after the order was canceled or expired, and its delay in nanoseconds."""

    fraction: Decimal
    after: int

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "LateFill":
        """Parse a late fill from a scenario.

        Raises:
            ValueError: ``fraction`` is missing or invalid, or another field is unknown.
        """
        if spec.keys() - {"after_seconds"} != {"fraction"}:
            raise ValueError(f"late_fill has the fields fraction and after_seconds, not {sorted(spec)}.")
        return cls(_fraction(spec["fraction"]), duration(spec.get("after_seconds", 0)))


@dataclass(frozen=True, slots=True)
class FillBehaviour:
    """The script of one order; durations in nanoseconds."""

    spec: Mapping[str, Any]
    """The specification it was parsed from, ready for JSON."""
    parts: tuple[Part, ...] = (Part(ONE, 0),)
    marketable_only: bool = False
    end: tuple[str, int] | None = None
    """Terminal status that the broker sets, and its delay."""
    price: Decimal | None = None
    """Price of every execution in dollars; None is the touch."""
    error: Mapping[str, Any] | None = None
    """Error response to the submission; see :func:`~paper_broker.errors.scripted_error`."""
    pending_new: int = 0
    """Delay before the order starts working."""
    price_pending: int = 0
    """Delay between an execution and the average fill price."""
    cancel: int | None = 0
    """Time for which a cancel stays pending; None is until the end of the day."""
    replace: int = 0
    """Time for which a replacement stays pending."""
    beats_cancel: Decimal = ZERO
    """Fraction of the remainder that executes between the cancel request and the cancel."""
    beats_replace: Decimal = ZERO
    """Fraction of the remainder that executes between the replace request and the replacement."""
    status: str | None = None
    """Status in responses in place of ``new`` and ``partially_filled``."""
    at_close: str = "expired"
    """Terminal status at the close."""
    filled_qty_lag: int = 0
    """Delay between an execution, or the end of the order, and the filled quantity in responses."""
    late_fill: LateFill | None = None
    """Execution after the order was canceled or expired."""
    rejected_in_answer: bool = False
    """The response to the submission shows the order as rejected."""
    cancel_ignored: int = 0
    """Number of cancel requests that are answered and have no effect."""
    displayed_every: int | None = None
    """Interval at which the size displayed at the far touch executes, in place of ``parts``; None uses ``parts``."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "FillBehaviour":
        """Parse a behaviour from a scenario.

        Raises:
            ValueError: an unknown behaviour or option.
        """
        if unknown := spec.keys() - OPTIONS:
            raise ValueError(f"Unknown fill options: {sorted(unknown)}. Choose from {sorted(OPTIONS)}.")
        parts, end = _script(spec)
        cancel = spec.get("cancel_seconds", 0)
        return cls(
            spec=dict(spec),
            parts=parts,
            marketable_only=spec.get("behaviour", "marketable") in ("marketable", "random"),
            end=end,
            price=Decimal(str(spec["price"])) if "price" in spec else None,
            error=_error(spec.get("error")),
            pending_new=duration(spec.get("pending_new_seconds", 0)),
            price_pending=duration(spec.get("price_pending_seconds", 0)),
            cancel=None if cancel is None else duration(cancel),
            replace=duration(spec.get("replace_seconds", 0)),
            beats_cancel=_fraction(spec.get("fill_beats_cancel", 0)),
            beats_replace=_fraction(spec.get("fill_beats_replace", 0)),
            status=spec.get("status"),
            at_close=_one_of(spec.get("at_close", "expired"), "expired", "canceled"),
            filled_qty_lag=duration(spec.get("filled_qty_lag_seconds", 0)),
            late_fill=LateFill.parse(spec["late_fill"]) if spec.get("late_fill") else None,
            rejected_in_answer=bool(spec.get("rejected_in_answer", False)),
            cancel_ignored=int(spec.get("cancel_ignored", 0)),
            displayed_every=duration(spec["displayed_seconds"]) if "displayed_seconds" in spec else None,
        )


def pieces(qty: Decimal, displayed: int, every: int) -> tuple[Part, ...]:
    """Return the parts of an order of ``qty`` shares that executes the displayed size at each interval."""
    if not 0 < displayed < qty:
        return (Part(ONE, 0),)
    last = min(int((qty / displayed).to_integral_value(ROUND_CEILING)), _MOST_PIECES) - 1
    return (*(Part(displayed / qty, number * every) for number in range(last)), Part(ONE, last * every))


def _error(spec: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if spec is not None:
        scripted_error(spec)  # checks the error when the scenario is read, not when the rule first applies
    return spec


def _script(spec: Mapping[str, Any]) -> tuple[tuple[Part, ...], tuple[str, int] | None]:
    after = duration(spec.get("after_seconds", 0))
    partial = (Part(_fraction(spec["fraction"]), 0),) if "fraction" in spec else ()
    match spec.get("behaviour", "marketable"):
        case "immediate" | "later":
            return (Part(ONE, after),), None
        case "marketable" | "parts" | "random":
            return _parts(spec.get("parts", [{"fraction": 1}])), None
        case "never":
            return (), None
        case "cancel":
            return partial, ("canceled", after)
        case "expire":
            return partial, ("expired", after)
        case "reject":
            return (), ("rejected", after)
        case other:
            raise ValueError(
                f"Unknown fill behaviour {other!r}: "
                "choose from marketable, immediate, later, parts, never, cancel, expire, reject and random."
            )


def _parts(specs: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(Part(_fraction(spec["fraction"]), duration(spec.get("after_seconds", 0))) for spec in specs)


def _fraction(value: Any) -> Decimal:
    fraction = Decimal(str(value))
    if not ZERO <= fraction <= ONE:
        raise ValueError(f"fraction must be a number from 0 to 1, not {value}.")
    return fraction


def _one_of(value: str, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"Unknown value {value!r}: choose from {allowed}.")
    return value


@dataclass(frozen=True, slots=True)
class FillRule:
    """A behaviour, and the orders that it applies to. A filter of None matches any order."""

    behaviour: FillBehaviour
    symbol: str | None = None
    side: str | None = None
    type: str | None = None
    client_order_id: str | None = None
    """Prefix of the client order ID."""
    nth: int | None = None
    """The nth submission of a symbol, counted from 1."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "FillRule":
        """Parse a rule from a scenario.

        Raises:
            ValueError: an unknown behaviour or option.
        """
        matches = {name: spec[name] for name in spec.keys() & _MATCHES}
        return cls(FillBehaviour.parse({name: spec[name] for name in spec.keys() - _MATCHES}), **matches)

    def dump(self) -> dict[str, Any]:
        """Return the rule as :meth:`parse` accepts it."""
        matches = {name: getattr(self, name) for name in sorted(_MATCHES)}
        return {name: value for name, value in matches.items() if value is not None} | dict(self.behaviour.spec)

    def matches(self, order: "Submission", client_order_id: str, nth: int) -> bool:
        """Return whether the rule applies to this order, the ``nth`` submission of its symbol."""
        return (
            self.symbol in (None, order.symbol)
            and self.side in (None, order.side)
            and self.type in (None, order.type)
            and self.nth in (None, nth)
            and (self.client_order_id is None or client_order_id.startswith(self.client_order_id))
        )


class Submission(Protocol):
    """The attributes of an order that fill rules match."""

    @property
    def symbol(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def type(self) -> str: ...


class FillPlan:
    """The fill rules of a scenario, its default behaviour, and the random draws of ``random``.

    Args:
        seed: the same seed and the same submissions give the same behaviours.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.default = FillBehaviour.parse({})
        self.rules: list[FillRule] = []
        self._submissions: dict[str, int] = {}

    def choose(self, order: Submission, client_order_id: str) -> FillBehaviour:
        """Count a submission and return its behaviour."""
        nth = self._submissions[order.symbol] = self._submissions.get(order.symbol, 0) + 1
        chosen = next(
            (rule.behaviour for rule in self.rules if rule.matches(order, client_order_id, nth)), self.default
        )
        if chosen.spec.get("behaviour") != "random" or "parts" in chosen.spec:
            return chosen
        # Seeded, so that a history can be reproduced.
        rng = Random(f"{self._seed}:{order.symbol}:{nth}")  # noqa: S311
        return FillBehaviour.parse({**chosen.spec, **_draw(rng)})

    def dump(self) -> dict[str, Any]:
        """Return rules, default and counts, ready for JSON."""
        return {
            "default_fill": dict(self.default.spec),
            "fills": [rule.dump() for rule in self.rules],
            "submissions": self._submissions,
        }

    def load_counts(self, submissions: Mapping[str, int]) -> None:
        """Restore the number of submissions per symbol."""
        self._submissions = dict(submissions)


def _draw(rng: Random) -> dict[str, Any]:
    """Draw a behaviour: mostly a complete fill; sometimes partial or late, a slow cancel, or a fill before a cancel."""
    drawn: dict[str, Any] = {"parts": [{"fraction": 1, "after_seconds": rng.choice([0, 0, 0, 0.5, 2])}]}
    if rng.random() < _PARTIAL_ODDS:
        first = rng.randrange(1, 10) / 10
        drawn["parts"] = [{"fraction": first}]
        if rng.random() < 0.7:
            drawn["parts"].append({"fraction": round(1 - first, 1), "after_seconds": rng.randrange(1, 30)})
    if rng.random() < 0.10:
        drawn["pending_new_seconds"] = rng.randrange(1, 5)
    if rng.random() < 0.10:
        drawn["cancel_seconds"] = rng.randrange(1, 10)
    if rng.random() < 0.05:
        drawn["fill_beats_cancel"] = rng.choice([0.5, 1])
    if rng.random() < 0.05:
        drawn["price_pending_seconds"] = rng.randrange(1, 3)
    return drawn
