"""The answer of ``rebalance calibrate``, made from estimates and proposals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import Field

from rebalance_cli.answer import Answer
from rebalance_cli.calibration.estimates import ClassEstimate, Rate, RungEstimate, estimate
from rebalance_cli.calibration.observations import LeftOut, Observations, OrderClass
from rebalance_cli.calibration.proposals import Expected, LadderCost, Proposal, Verdict, propose
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.own_costs import OwnCosts
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.styles import DEFAULT_LADDER, LadderSteps
from rebalance_executor.domain.values import Amount

_DIGITS = 6


class Interval(Answer):
    """An estimate with its 95 % interval."""

    value: Amount
    low: Amount
    high: Amount

    @classmethod
    def of(cls, estimated: Rate | Expected, times: float = 1) -> Interval:
        """Return an estimate, multiplied."""
        value, low, high = (number(part * times) for part in (estimated.value, estimated.low, estimated.high))
        return cls(value=value, low=low, high=high)


class RungAnswer(Answer):
    """Orders of one class that rested at one range of places in the spread."""

    place: str = Field(description="Places of the limit: 0 is the near touch, 1 the far touch.")
    orders: int
    plans: int
    fills: Amount = Field(description="Filled parts of the orders; a partial fill is a part.")
    seconds: Amount = Field(description="Total time at risk.")
    fills_per_second: Interval | None = Field(description="Null without time at risk.")
    fill_probability: dict[Urgency, Interval] = Field(
        description="Probability of a fill within the seconds that a rung of this urgency rests."
    )
    drift_per_second: Interval | None = Field(
        description="Move of the mid against an unfilled order in half spreads; null without a next order."
    )
    fill_cost: Amount | None = Field(
        description="Mean fill price against the mid when the order was priced, in half spreads; null without fills."
    )
    missing: str | None = Field(description="What is missing for a proposal; null if nothing is.")


class LadderAnswer(Answer):
    """A ladder with its expected cost against the mid at arrival."""

    aims: tuple[Amount, ...]
    wait_seconds: Amount
    cost: Interval = Field(description="Half spreads; 1 is a market order.")
    cost_bps: Interval
    seconds: Amount = Field(description="Expected seconds until the fill.")


class ProposalAnswer(Answer):
    """The present ladder of one urgency for one class, and the best candidate."""

    urgency: Urgency
    verdict: Verdict
    reason: str
    present: LadderAnswer | None = Field(description="Null if the data cannot judge it.")
    best: LadderAnswer | None = Field(description="Null if the data can judge no candidate.")
    saving: Interval | None = Field(
        description="Cost of the present ladder less that of the best candidate, in half spreads. The interval is "
        "widened, because the best of several candidates is chosen."
    )
    candidates: int = Field(description="Candidates that the data can judge.")


class ClassAnswer(Answer):
    """One class of orders."""

    order_class: OrderClass
    orders: int
    plans: int
    symbols: tuple[str, ...] = Field(description="Symbols of which at least half of the orders are in this class.")
    half_spread_bps: Amount
    ticks: int = Field(description="Median spread.")
    rungs: tuple[RungAnswer, ...]
    proposals: tuple[ProposalAnswer, ...]


class Calibration(Answer):
    """``rebalance calibrate``: fill rates of the account's own orders, and the ladders that they suggest."""

    account: str
    broker: BrokerKind = Field(description="Broker of these orders. Only live fills say something about live costs.")
    first_day: str
    last_day: str
    plans: int
    other_plans: dict[BrokerKind, int] = Field(description="Plans on other kinds of brokers, which are left out.")
    orders: int
    left_out: dict[LeftOut, int] = Field(description="Orders that say nothing about fills, by reason.")
    classes: tuple[ClassAnswer, ...]
    own_costs: OwnCosts | None = Field(
        default=None, description="own_costs for EXECUTION_CONFIG; null with fewer than 30 orders that have a forecast."
    )
    execution_config: dict[str, Any] | None = Field(
        description="EXECUTION_CONFIG with the proposals; null without a proposal. Nothing is applied."
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """The orders that were read."""

    account: str
    broker: BrokerKind
    first_day: str
    last_day: str
    plans: int
    other_plans: Mapping[BrokerKind, int]


def calibration(
    scope: Scope, observations: Observations, config: ExecutionConfig, patience: Decimal, configured: dict[str, Any]
) -> Calibration:
    """Return the answer.

    Args:
        scope: what was read.
        observations: the child orders.
        config: the present configuration.
        patience: total seconds of a candidate as a multiple of those of the present ladder.
        configured: the value of EXECUTION_CONFIG.
    """
    estimates = estimate(observations.used)
    proposals = [{u: propose(one, config.ladder[u], patience) for u in Urgency} for one in estimates]
    return Calibration(
        account=scope.account,
        broker=scope.broker,
        first_day=scope.first_day,
        last_day=scope.last_day,
        plans=scope.plans,
        other_plans=dict(scope.other_plans),
        orders=len(observations.used),
        left_out={reason: observations.left_out[reason] for reason in LeftOut if observations.left_out[reason]},
        classes=tuple(_class(one, found, config) for one, found in zip(estimates, proposals, strict=True)),
        execution_config=_execution_config(estimates, proposals, config, configured),
    )


def _class(found: ClassEstimate, proposals: Mapping[Urgency, Proposal], config: ExecutionConfig) -> ClassAnswer:
    return ClassAnswer(
        order_class=found.order_class,
        orders=found.orders,
        plans=found.plans,
        symbols=found.symbols,
        half_spread_bps=number(found.half_spread_bps),
        ticks=found.ticks,
        rungs=tuple(_rung(rung, config) for rung in found.rungs.values()),
        proposals=tuple(_proposal(urgency, one, found.half_spread_bps) for urgency, one in proposals.items()),
    )


def _rung(rung: RungEstimate, config: ExecutionConfig) -> RungAnswer:
    probabilities = {}
    if rung.hazard is not None:
        for urgency, steps in config.ladder.items():
            value, low, high = rung.hazard.within(float(steps.wait_seconds))
            probabilities[urgency] = Interval(value=number(value), low=number(low), high=number(high))
    return RungAnswer(
        place=rung.bucket.label,
        orders=rung.orders,
        plans=rung.plans,
        fills=number(rung.fills),
        seconds=number(rung.seconds),
        fills_per_second=Interval.of(rung.hazard) if rung.hazard is not None else None,
        fill_probability=probabilities,
        drift_per_second=Interval.of(rung.drift) if rung.drift is not None else None,
        fill_cost=number(rung.fill_cost) if rung.fill_cost is not None else None,
        missing=rung.missing,
    )


def _proposal(urgency: Urgency, proposal: Proposal, half_spread_bps: float) -> ProposalAnswer:
    return ProposalAnswer(
        urgency=urgency,
        verdict=proposal.verdict,
        reason=proposal.reason,
        present=_ladder(proposal.present, half_spread_bps),
        best=_ladder(proposal.best, half_spread_bps),
        saving=Interval.of(proposal.saving) if proposal.saving is not None else None,
        candidates=proposal.candidates,
    )


def _ladder(ladder: LadderCost | None, half_spread_bps: float) -> LadderAnswer | None:
    if ladder is None:
        return None
    return LadderAnswer(
        aims=ladder.steps.spread_fractions,
        wait_seconds=ladder.steps.wait_seconds,
        cost=Interval.of(ladder.cost),
        cost_bps=Interval.of(ladder.cost, half_spread_bps),
        seconds=number(ladder.seconds),
    )


def _execution_config(
    estimates: Sequence[ClassEstimate],
    proposals: Sequence[Mapping[Urgency, Proposal]],
    config: ExecutionConfig,
    configured: dict[str, Any],
) -> dict[str, Any] | None:
    """Return the configured value with the proposed ladders of the symbols of each class; None without a proposal.

    A symbol that has a ladder of its own keeps it: it was compared with the ladder of all other symbols.
    """
    per_symbol: dict[str, Any] = {}
    for found, of_class in zip(estimates, proposals, strict=True):
        proposed = {u: one.best.steps for u, one in of_class.items() if one.verdict is Verdict.PROPOSE and one.best}
        if not proposed:
            continue
        # The ladder of a symbol replaces the configured one as a whole: what differs from the defaults is repeated.
        ladder = {u: steps for u, steps in (config.ladder | proposed).items() if steps != DEFAULT_LADDER[u]}
        for symbol in found.symbols:
            override = config.per_symbol.get(symbol)
            if override is None or override.ladder is None:
                own = configured.get("per_symbol", {}).get(symbol, {})
                per_symbol.setdefault(symbol, own | {"ladder": {u.value: _steps(s) for u, s in ladder.items()}})
    if not per_symbol:
        return None
    return configured | {"per_symbol": configured.get("per_symbol", {}) | per_symbol}


def _steps(steps: LadderSteps) -> dict[str, Any]:
    return {
        "aims": [_json_number(place) for place in steps.spread_fractions],
        "wait_seconds": _json_number(steps.wait_seconds),
    }


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


def number(value: float) -> Decimal:
    """Return a number as a decimal with six digits after the point."""
    return Decimal(str(round(value, _DIGITS)))
