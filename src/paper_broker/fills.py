"""How an order will fare: a small language of fill behaviours, and the rules that choose one for an order.

A behaviour is a script: parts of the quantity with the times at which they execute, and perhaps an end that the
broker brings about. Gated behaviours wait until the order is marketable and execute at the touch; the others execute
by the script alone, at the touch if the order is marketable and else at its own limit price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Protocol

from paper_broker.errors import scripted
from paper_broker.formats import ONE, ZERO, duration

OPTIONS = frozenset({
    "behaviour", "after_seconds", "parts", "fraction", "price", "error", "pending_new_seconds",
    "price_pending_seconds", "cancel_seconds", "replace_seconds", "fill_beats_cancel", "fill_beats_replace",
    "status", "at_close",
})  # fmt: skip
"""What a behaviour may say."""
_MATCHES = frozenset({"symbol", "side", "type", "client_order_id", "nth"})
_PARTIAL_ODDS = 0.10
"""Alpaca: its paper fills are partial about one time in ten."""


@dataclass(frozen=True, slots=True)
class Part:
    """A fraction of the order that executes some nanoseconds after the order is working."""

    fraction: Decimal
    after: int


@dataclass(frozen=True, slots=True)
class FillBehaviour:
    """The script of one order; durations in nanoseconds."""

    spec: Mapping[str, Any]
    """What it was read from, ready for JSON."""
    parts: tuple[Part, ...] = (Part(ONE, 0),)
    gated: bool = False
    end: tuple[str, int] | None = None
    """The terminal status that the broker brings about, and when."""
    price: Decimal | None = None
    error: Mapping[str, Any] | None = None
    """A refusal of the submission itself: see :func:`~paper_broker.errors.scripted`."""
    pending_new: int = 0
    price_pending: int = 0
    cancel: int | None = 0
    """How long a cancel stays pending; none is for ever."""
    replace: int = 0
    beats_cancel: Decimal = ZERO
    """The fraction of the remainder that executes between the cancel request and the cancel."""
    beats_replace: Decimal = ZERO
    status: str | None = None
    """Shown instead of ``new`` and ``partially_filled``."""
    at_close: str = "expired"

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "FillBehaviour":
        """Read a behaviour from a scenario.

        Raises:
            ValueError: for an unknown behaviour or option.
        """
        if unknown := spec.keys() - OPTIONS:
            raise ValueError(f"Unknown fill options {sorted(unknown)}: choose from {sorted(OPTIONS)}.")
        parts, end = _script(spec)
        cancel = spec.get("cancel_seconds", 0)
        return cls(
            spec=dict(spec),
            parts=parts,
            gated=spec.get("behaviour", "marketable") in ("marketable", "random"),
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
        )


def _error(spec: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if spec is not None:
        scripted(spec)  # so that it is refused when it is written and not when an order meets it
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
                "choose marketable, immediate, later, parts, never, cancel, expire, reject or random."
            )


def _parts(specs: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(Part(_fraction(spec["fraction"]), duration(spec.get("after_seconds", 0))) for spec in specs)


def _fraction(value: Any) -> Decimal:
    fraction = Decimal(str(value))
    if not ZERO <= fraction <= ONE:
        raise ValueError(f"fraction is {value}: write a number from 0 to 1.")
    return fraction


def _one_of(value: str, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {allowed}.")
    return value


@dataclass(frozen=True, slots=True)
class FillRule:
    """Chooses a behaviour for the orders it matches; what it leaves open matches every order."""

    behaviour: FillBehaviour
    symbol: str | None = None
    side: str | None = None
    type: str | None = None
    client_order_id: str | None = None
    """A prefix."""
    nth: int | None = None
    """Counts the submissions of one symbol, from 1."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "FillRule":
        """Read a rule from a scenario.

        Raises:
            ValueError: for an unknown behaviour or option.
        """
        matches = {name: spec[name] for name in spec.keys() & _MATCHES}
        return cls(FillBehaviour.parse({name: spec[name] for name in spec.keys() - _MATCHES}), **matches)

    def dump(self) -> dict[str, Any]:
        """What :meth:`parse` takes."""
        matches = {name: getattr(self, name) for name in sorted(_MATCHES)}
        return {name: value for name, value in matches.items() if value is not None} | dict(self.behaviour.spec)

    def matches(self, order: "Submission", client_order_id: str, nth: int) -> bool:
        """Whether it speaks of this order, the ``nth`` of its symbol."""
        return (
            self.symbol in (None, order.symbol)
            and self.side in (None, order.side)
            and self.type in (None, order.type)
            and self.nth in (None, nth)
            and (self.client_order_id is None or client_order_id.startswith(self.client_order_id))
        )


class Submission(Protocol):
    """What the rules look at in an order."""

    @property
    def symbol(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def type(self) -> str: ...


class FillPlan:
    """The rules of a scenario, its default, and the randomness of ``random``.

    Args:
        seed: the same seed gives the same behaviours for the same submissions.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.default = FillBehaviour.parse({})
        self.rules: list[FillRule] = []
        self._submissions: dict[str, int] = {}

    def choose(self, order: Submission, client_order_id: str) -> FillBehaviour:
        """The behaviour of a submission; each call counts as one."""
        nth = self._submissions[order.symbol] = self._submissions.get(order.symbol, 0) + 1
        chosen = next(
            (rule.behaviour for rule in self.rules if rule.matches(order, client_order_id, nth)), self.default
        )
        if chosen.spec.get("behaviour") != "random" or "parts" in chosen.spec:
            return chosen
        # Not cryptography: what matters is that the history can be played again.
        rng = Random(f"{self._seed}:{order.symbol}:{nth}")  # noqa: S311
        return FillBehaviour.parse({**chosen.spec, **_drawn(rng)})

    def dump(self) -> dict[str, Any]:
        """Rules, default and counts, ready for JSON."""
        return {
            "default_fill": dict(self.default.spec),
            "fills": [rule.dump() for rule in self.rules],
            "submissions": self._submissions,
        }

    def load_counts(self, submissions: Mapping[str, int]) -> None:
        """Restore how many submissions each symbol had."""
        self._submissions = dict(submissions)


def _drawn(rng: Random) -> dict[str, Any]:
    """One draw: mostly a plain fill, now and then a partial one, a late one, a slow cancel, or a lost race."""
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
