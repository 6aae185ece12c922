"""A market whose spread is always one tick, for one buyer: displayed sizes, a place in the queue, moves of the touch.

A step is half a second. Sizes are whole lots, from one to ``largest``, at the bid and at the ask. In each step at most
one event happens at each side, independently: a lot is added at the back, a lot is canceled, with the same probability
for each lot, or a trade takes lots from the front, one or ``block``. The order is so small that nobody sees it.

- A side whose last lot is gone moves the touch by a tick, bid and ask together, and both sizes are drawn again, each
  size with the same probability. If both sides are gone in one step, the touch stays and the sizes are drawn again.
- An order that joins the bid stands behind all of its lots. Trades and cancels ahead of it bring it forward. It fills
  when a trade takes more than is ahead, and when the bid is gone: then the ask comes down to it.
- If the ask is gone, the order is a tick behind. When the bid comes back to it, it stands behind all of the new lots.

So the side with fewer lots is likely to go first, and an order without a fill is left behind. The parameters are
chosen, not estimated: so that sizes, moves of the touch over a
second to a minute, and the cost of pegging at the bid are near those of the replay's one-tick names (BAC, AIG).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.lab.work import Cancel, Done, Floats, Ints, Now, Place, Worker


@dataclass(frozen=True)
class OneTick:
    """One kind of market. Probabilities are per step and side."""

    name: str
    price: int
    """The first bid in ticks of a cent."""
    lot: int
    """Shares."""
    largest: int
    """Most lots that are displayed."""
    add: float
    cancel: float
    trade: float
    """Probability of a trade of one lot."""
    large: float
    """Probability of a trade of ``block`` lots, or of all if there are fewer."""
    block: int

    def events(self, size: int) -> list[tuple[float, int, int]]:
        """Return probability, lots after it, and lots that trades have taken, of every event at one side."""
        quiet = 1 - self.add - self.cancel - self.trade - self.large
        return [
            (quiet, size, 0),
            (self.add, min(size + 1, self.largest), 0),
            (self.cancel, size - 1, 0),
            (self.trade, size - 1, 1),
            (self.large, max(size - self.block, 0), min(self.block, size)),
        ]

    is_mirrored = True
    """The second half of the paths mirrors the first."""

    @property
    def widest(self) -> int:
        """The widest spread in ticks."""
        return 1

    @cached_property
    def start(self) -> Floats:
        """Probability of each pair of sizes at a random time, by lots at the bid and at the ask, less one."""
        n = self.largest
        side = np.zeros((n, n + 1))
        for size in range(1, n + 1):
            for probability, after, _ in self.events(size):
                side[size - 1, after] += probability
        left = side[:, 1:]
        found = np.full((n, n), 1 / n**2)
        for _ in range(5_000):
            stayed = left.T @ found @ left
            found = stayed + (1 - stayed.sum()) / n**2
        return found

    def draw(self, count: int, steps: int, seed: int) -> Iterator[OneTickPath]:
        """Return ``count`` paths of ``steps`` steps, one less if it is odd; the same seed gives the same paths.

        The second half mirrors the first: a buy in it is a sell in the other. So drift cancels.
        """
        count //= 2
        rng = np.random.default_rng([seed, *self.name.encode()])
        n = self.largest
        sizes = np.empty((steps + 1, 2, count), dtype=np.int64)
        bid = np.full((steps + 1, count), self.price, dtype=np.int64)
        taken = np.zeros((steps, 2, count), dtype=np.int64)
        canceled = np.ones((steps, 2, count))
        first = rng.choice(n * n, count, p=self.start.ravel())
        sizes[0] = first // n + 1, first % n + 1
        bounds = np.cumsum([self.large, self.trade, self.cancel, self.add])
        for t in range(steps):
            event = np.searchsorted(bounds, rng.random((2, count)), side="right")
            before = sizes[t]
            trade = np.minimum(np.select([event == 0, event == 1], [self.block, 1]), before)
            after = np.minimum(before - trade - (event == 2) + (event == 3), n)
            gone = after == 0
            taken[t] = trade
            canceled[t] = np.where(event == 2, rng.random((2, count)), 1.0)
            bid[t + 1] = bid[t] + gone[1] - gone[0]
            sizes[t + 1] = np.where(gone.any(axis=0), rng.integers(1, n + 1, (2, count)), after)
        for own, other, bids in ((0, 1, bid), (1, 0, 2 * self.price - bid)):
            columns = bids, sizes[:, own], sizes[:, other], taken[:, own], canceled[:, own]
            for row in zip(*(column.T for column in columns), strict=True):
                yield OneTickPath(self.lot, *row)


@dataclass(frozen=True, slots=True)
class OneTickPath:
    """One path: one entry per step."""

    lot: int
    bid: Ints
    bid_size: Ints
    ask_size: Ints
    taken: Ints
    """Lots that trades take from the bid in the next step."""
    canceled: Floats
    """Place in the queue, from 0 to 1, of the lot that is canceled at the bid in the next step; 1 if none is."""

    @property
    def arrival(self) -> float:
        """The first mid in ticks."""
        return float(self.bid[0]) + 0.5

    @property
    def half_spread(self) -> float:
        """Half of a tick."""
        return 0.5

    def work(self, worker: Worker, steps: int) -> Done:
        """Work one order to its end."""
        bids, bid_sizes, ask_sizes = self.bid.tolist(), self.bid_size.tolist(), self.ask_size.tolist()
        taken, canceled = self.taken.tolist(), self.canceled.tolist()
        resting: int | None = None
        ahead = 0
        rungs: list[float] = []
        for t in range(steps):
            bid, size = bids[t], bid_sizes[t]
            at_bid = resting == bid
            sizes = (size * self.lot, ask_sizes[t] * self.lot)
            action = worker.act(Now(t, bid, 1, resting, sizes, ahead=ahead if at_bid else None))
            if isinstance(action, Cancel):
                resting = None
            elif isinstance(action, Place):
                rungs.append(action.rung)
                if action.price > bid:
                    return Done(bid + 1, t, tuple(rungs))
                resting, ahead = action.price, size
            if resting is None:
                continue
            if resting == bid:
                is_gone = taken[t] >= size or (size == 1 and canceled[t] < 1)
                if is_gone or taken[t] > ahead:
                    return Done(resting, t + 1, tuple(rungs))
                ahead -= taken[t] + (canceled[t] < ahead / size)
            elif bids[t + 1] == resting:
                ahead = bid_sizes[t + 1]
        return Done(bids[steps] + 1, steps, (*rungs, 1.0))


ONE_TICK_CELLS = (
    OneTick("one tick, deep", 1_400, 10_000, 10, add=0.05, cancel=0.02, trade=0.035, large=0.0025, block=10),
    OneTick("one tick, busy", 4_900, 300, 6, add=0.15, cancel=0.08, trade=0.04, large=0.045, block=4),
)
"""A stock of $14 with a long queue, and one of $49 with a short queue."""
