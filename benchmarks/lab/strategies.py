"""The simple strategies under comparison: those of the replay."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.lab.work import Action, Cancel, Now, Place


@dataclass(slots=True)
class Market:
    """A market order, which pays the half spread at once."""

    def act(self, now: Now) -> Action:
        """Cross the spread."""
        return Place(now.ask, 1.0)


@dataclass(slots=True)
class Static:
    """Prices fixed at the arrival quote, one after the other, then the far touch."""

    fractions: tuple[float, ...]
    wait: int
    """Steps."""
    _prices: list[int] = field(default_factory=list)
    _placed: int = 0
    _at: int = 0

    def act(self, now: Now) -> Action:
        """Place the next price after the last one rested its time."""
        if not self._prices:
            self._prices = [now.bid + int(now.spread * fraction) for fraction in self.fractions]
        if now.resting is not None:
            return Cancel() if now.step - self._at >= self.wait else None
        if self._placed == len(self.fractions):
            return Place(now.ask, 1.0)
        fraction, price = self.fractions[self._placed], self._prices[self._placed]
        self._placed, self._at = self._placed + 1, now.step
        return Place(price, fraction)


@dataclass(slots=True)
class Peg:
    """A limit at the bid, which is compared with it every ``wait`` steps; after ``ends`` steps the far touch."""

    ends: int
    wait: int
    _at: int = 0

    def act(self, now: Now) -> Action:
        """Join the bid again if it has moved; cross at the end."""
        is_over = now.step >= self.ends - 1  # a cancel takes a step
        if now.resting is None:
            self._at = now.step
            return Place(now.ask, 1.0) if is_over else Place(now.bid, 0.0)
        if is_over:
            return Cancel()
        if now.step - self._at < self.wait:
            return None
        self._at = now.step
        return None if now.resting == now.bid else Cancel()
