"""The way behind the counter: change the world, let orders fare in some way, arm faults, read the counts.

Nothing of it is Alpaca's, it needs no keys, and it is reachable from this machine only.
"""

from collections.abc import Callable
from typing import Any

from paper_broker.api import Answer, Request
from paper_broker.app import Venue
from paper_broker.errors import BrokerError
from paper_broker.fault_presets import DRILLS
from paper_broker.formats import Wire, timestamp
from paper_broker.page import overview

_ENDINGS = {"cancel": "canceled", "expire": "expired", "reject": "rejected"}
_ORDER_ACTIONS = {("POST", "orders", action) for action in ("fill", *_ENDINGS)}


def administer(venue: Venue, request: Request) -> Answer:
    """Carry out one request below ``/admin``: 422 with a sentence if it makes no sense, 404 for an unknown path."""
    parts = request.path.removeprefix("/admin/").split("/")
    try:
        if (request.method, parts[0], parts[-1]) in _ORDER_ACTIONS and len(parts) == 3:
            return Answer(200, _order(venue, parts[1], parts[2], request.body))
        if (action := ACTIONS.get((request.method, "/".join(parts)))) is None:
            return Answer(404, {"message": f"There is no {request.method} {request.path}."})
        return Answer(200, action(venue, request.body))
    except BrokerError as error:
        return Answer(error.http_status, error.body())
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        return Answer(422, {"message": f"{type(error).__name__}: {error}"})


def _order(venue: Venue, order_id: str, action: str, body: Any) -> Wire:
    if action == "fill":
        qty, price = body.get("qty"), body.get("price")
        return venue.exchange.force_fill(
            order_id, None if qty is None else str(qty), None if price is None else str(price)
        )
    return venue.exchange.force_end(order_id, _ENDINGS[action])


def _scenario(venue: Venue, body: Any) -> Wire:
    venue.begin(body)
    return _health(venue, body)


def _world(venue: Venue, body: Any) -> Wire:
    venue.merge(body)
    return _health(venue, body)


def _clock(venue: Venue, body: Any) -> Wire:
    venue.merge({"clock": body})
    return venue.exchange.clock()


def _arm(venue: Venue, body: Any) -> list[Wire]:
    venue.faults.arm(body.get("faults", [body]))
    return venue.faults.dump()


def _disarm(venue: Venue, _: Any) -> list[Wire]:
    venue.faults.clear()
    return []


def _requests(venue: Venue, _: Any) -> Wire:
    return {
        "total": venue.totals.total(),
        "trading": venue.totals["trading"],
        "data": venue.totals["data"],
        "by_path": dict(sorted(venue.requests.items())),
        "log": list(venue.log),
    }


def _forget(venue: Venue, body: Any) -> Wire:
    venue.forget_requests()
    return _requests(venue, body)


def _drill(venue: Venue, body: Any) -> Wire:
    drill, on = DRILLS[body["name"]], body["on"]
    if not isinstance(on, bool):
        raise TypeError("on is true or false")
    drill.switch(venue, on=on)
    return {"name": body["name"], "on": drill.is_on(venue)}


def _state(venue: Venue, _: Any) -> Wire:
    venue.exchange.advance()
    return venue.dump()


def _health(venue: Venue, _: Any) -> Wire:
    return {"status": "ok", "now": timestamp(venue.exchange.advance())}


ACTIONS: dict[tuple[str, str], Callable[[Venue, Any], Any]] = {
    ("POST", "scenario"): _scenario,
    ("POST", "world"): _world,
    ("POST", "clock"): _clock,
    ("POST", "faults"): _arm,
    ("DELETE", "faults"): _disarm,
    ("POST", "foreign_order"): lambda venue, body: venue.exchange.submit_order(body),
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _forget,
    ("POST", "drill"): _drill,
    ("GET", "page"): lambda venue, _: overview(venue),
    ("GET", "state"): _state,
    ("GET", "health"): _health,
}
"""What can be asked for, by method and path below ``/admin/``; actions on one order aside."""
