"""The transitions between the phases of a child order."""

from __future__ import annotations

from collections.abc import Mapping

from rebalance_executor.domain.orders import ChildPhase

_P = ChildPhase
_BROKER_FINAL = frozenset({_P.FILLED, _P.CANCELED, _P.EXPIRED, _P.REJECTED, _P.REPLACED})
_REPORTED = frozenset({_P.WORKING, _P.CLOSED_UNCONFIRMED, _P.FILLED})
NEXT_PHASES: Mapping[ChildPhase, frozenset[ChildPhase]] = {
    _P.INTENDED: _REPORTED | {_P.UNKNOWN, _P.REJECTED, _P.RESEND_REJECTED, _P.NOT_SENT},
    _P.UNKNOWN: _REPORTED | {_P.INTENDED, _P.NOT_SENT},
    _P.RESEND_REJECTED: _REPORTED | {_P.REJECTED},
    _P.WORKING: frozenset({_P.PENDING_CANCEL, _P.CLOSED_UNCONFIRMED, _P.FILLED}),
    _P.PENDING_CANCEL: _REPORTED,
    _P.CLOSED_UNCONFIRMED: _BROKER_FINAL | {_P.WORKING, _P.PENDING_CANCEL},
} | dict.fromkeys((*_BROKER_FINAL, _P.NOT_SENT), frozenset())
"""The phases that may follow each phase; a final phase has none. ``docs/order-states.md`` shows the same table."""
