"""The web page of the broker: its files, and the JSON that it polls once per second."""

from collections.abc import Mapping
from importlib.resources import files
from urllib.parse import urlsplit

from paper_broker.app import App
from paper_broker.errors import forbidden
from paper_broker.fault_presets import FAULT_PRESETS
from paper_broker.formats import JsonObject

_ORDERS, _REQUESTS, _QUOTES = 60, 24, 30
"""Maximum number of rows shown, newest first."""
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_FILES = {
    "/": ("index.html", "text/html; charset=UTF-8"),
    "/page.css": ("page.css", "text/css; charset=UTF-8"),
    "/page.js": ("page.js", "text/javascript; charset=UTF-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Headers of the files. The page loads nothing from other origins, and no other page can frame it (clickjacking)."""


def static_file(path: str) -> tuple[bytes, str] | None:
    """Return content and content type of a file of the page, or None for other paths."""
    if path not in _FILES:
        return None
    name, content_type = _FILES[path]
    return files("paper_broker").joinpath("site", name).read_bytes(), content_type


def check_origin(headers: Mapping[str, str]) -> None:
    """Reject requests that another page in the same browser makes: DNS rebinding and foreign origins.

    Programs send no ``Origin`` header and are allowed.

    Raises:
        BrokerError: 403.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if host and urlsplit(f"//{host}").hostname not in _LOCAL_HOSTS:
        raise forbidden(f"host {host} is not allowed: use 127.0.0.1")
    if origin is not None and urlsplit(origin).netloc != host:
        raise forbidden(f"requests from origin {origin} are not allowed")


def overview(app: App) -> JsonObject:
    """Return everything that the page shows."""
    exchange = app.exchange
    positions = exchange.positions()
    orders = exchange.list_orders(status="all", direction="desc", limit=_ORDERS)
    used = app.limiter.used(app.clock())
    return {
        "clock": exchange.clock(),
        "account": exchange.account(),
        "positions": positions,
        "orders": orders,
        "quotes": _quotes(app, [*(o["symbol"] for o in orders), *(p["symbol"] for p in positions)]),
        "requests": {
            "total": app.totals.total(),
            "minute": {budget: {"used": used[budget], "limit": limit} for budget, limit in app.limiter.limits.items()},
            "log": list(app.log)[: -_REQUESTS - 1 : -1],
        },
        "fault_presets": [
            {"name": name, "title": preset.title, "description": preset.description, "on": preset.is_on(app)}
            for name, preset in FAULT_PRESETS.items()
        ],
        "faults": len(app.faults.dump()),
    }


def _quotes(app: App, traded: list[str]) -> list[JsonObject]:
    """Return quotes of the symbols traded or held; if there are none, of the first active assets."""
    symbols = list(dict.fromkeys(traded)) or [asset["symbol"] for asset in app.exchange.assets(status="active")]
    quotes = app.exchange.latest_quotes(symbols[:_QUOTES])["quotes"]
    return [{"symbol": symbol, "bid": quote["bp"], "ask": quote["ap"]} for symbol, quote in sorted(quotes.items())]
