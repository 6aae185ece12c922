"""The admin API: change the market, script fills, inject faults, read request counts.

Nothing below ``/admin`` exists at Alpaca. It needs no keys and is reachable from this machine only.
"""

from collections.abc import Callable
from typing import Any

from paper_broker.app import App
from paper_broker.errors import BrokerError
from paper_broker.fault_presets import FAULT_PRESETS
from paper_broker.formats import JsonObject, timestamp
from paper_broker.page import overview
from paper_broker.routing import Request, Response

_TERMINAL_STATUSES = {"cancel": "canceled", "expire": "expired", "reject": "rejected"}
_ORDER_ACTIONS = {("POST", "orders", action) for action in ("fill", "change", *_TERMINAL_STATUSES)}


def administer(app: App, request: Request) -> Response:
    """Handle one request below ``/admin``: 422 with a message if it is invalid, 404 for an unknown path."""
    parts = request.path.removeprefix("/admin/").split("/")
    try:
        if (request.method, parts[0], parts[-1]) in _ORDER_ACTIONS and len(parts) == 3:
            return Response(200, _order(app, parts[1], parts[2], request.body))
        if (action := ACTIONS.get((request.method, "/".join(parts)))) is None:
            return Response(404, {"message": f"Unknown admin request: {request.method} {request.path}."})
        return Response(200, action(app, request.body))
    except BrokerError as error:
        return Response(error.http_status, error.body())
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        return Response(422, {"message": f"{type(error).__name__}: {error}"})


def _order(app: App, order_id: str, action: str, body: Any) -> JsonObject:
    qty, price = (None if body.get(name) is None else str(body[name]) for name in ("qty", "price"))
    if action == "fill":
        return app.exchange.force_fill(order_id, qty, price)
    if action == "change":
        return app.exchange.change_order(order_id, body.get("symbol"), qty)
    return app.exchange.force_end(order_id, _TERMINAL_STATUSES[action])


def _scenario(app: App, body: Any) -> JsonObject:
    app.reset(body)
    return _health(app, body)


def _world(app: App, body: Any) -> JsonObject:
    app.merge(body)
    return _health(app, body)


def _clock(app: App, body: Any) -> JsonObject:
    app.merge({"clock": body})
    return app.exchange.clock()


def _arm(app: App, body: Any) -> list[JsonObject]:
    app.faults.arm(body.get("faults", [body]))
    return app.faults.dump()


def _disarm(app: App, _: Any) -> list[JsonObject]:
    app.faults.clear()
    return []


def _requests(app: App, _: Any) -> JsonObject:
    return {
        "total": app.totals.total(),
        "trading": app.totals["trading"],
        "data": app.totals["data"],
        "by_path": dict(sorted(app.requests.items())),
        "log": list(app.log),
    }


def _clear_requests(app: App, body: Any) -> JsonObject:
    app.clear_requests()
    return _requests(app, body)


def _fault_preset(app: App, body: Any) -> JsonObject:
    preset, on = FAULT_PRESETS[body["name"]], body["on"]
    if not isinstance(on, bool):
        raise TypeError("on must be true or false")
    preset.set(app, on=on)
    return {"name": body["name"], "on": preset.is_on(app)}


def _state(app: App, _: Any) -> JsonObject:
    app.exchange.advance()
    return app.dump()


def _health(app: App, _: Any) -> JsonObject:
    return {"status": "ok", "now": timestamp(app.exchange.advance())}


ACTIONS: dict[tuple[str, str], Callable[[App, Any], Any]] = {
    ("POST", "scenario"): _scenario,
    ("POST", "world"): _world,
    ("POST", "clock"): _clock,
    ("POST", "faults"): _arm,
    ("DELETE", "faults"): _disarm,
    ("POST", "foreign_order"): lambda app, body: app.exchange.submit_order(body),
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _clear_requests,
    ("POST", "fault_preset"): _fault_preset,
    ("GET", "page"): lambda app, _: overview(app),
    ("GET", "state"): _state,
    ("GET", "health"): _health,
}
"""Handlers by method and path below ``/admin/``, except for actions on one order."""
