"""The page to watch: its files, and what it shows of the venue, as one JSON object a second."""

from collections.abc import Mapping
from importlib.resources import files
from urllib.parse import urlsplit

from paper_broker.app import Venue
from paper_broker.errors import forbidden
from paper_broker.fault_presets import DRILLS
from paper_broker.formats import Wire

_ORDERS, _REQUESTS, _QUOTES = 60, 24, 30
"""How many of each are shown, the newest."""
_OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
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
"""Sent with the files: nothing comes from elsewhere, and nobody frames the page to have its buttons pressed."""


def file(path: str) -> tuple[bytes, str] | None:
    """Content and type of a file of the page; None for other paths."""
    if path not in _FILES:
        return None
    name, content_type = _FILES[path]
    return files("paper_broker").joinpath("site", name).read_bytes(), content_type


def check_visitor(headers: Mapping[str, str]) -> None:
    """Refuse what another page of the same browser sends here: names that lead here by a trick, and foreign origins.

    Programs send no ``Origin`` and are let through.

    Raises:
        BrokerError: 403.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if host and urlsplit(f"//{host}").hostname not in _OWN_NAMES:
        raise forbidden(f"this is not {host}: ask for 127.0.0.1")
    if origin is not None and urlsplit(origin).netloc != host:
        raise forbidden(f"pages of {origin} may not ask for this")


def overview(venue: Venue) -> Wire:
    """What the page shows."""
    exchange = venue.exchange
    positions = exchange.positions()
    orders = exchange.list_orders(status="all", direction="desc", limit=_ORDERS)
    used = venue.limiter.used(venue.clock())
    return {
        "clock": exchange.clock(),
        "account": exchange.account(),
        "positions": positions,
        "orders": orders,
        "quotes": _quotes(venue, [*(o["symbol"] for o in orders), *(p["symbol"] for p in positions)]),
        "requests": {
            "total": venue.totals.total(),
            "minute": {
                budget: {"used": used[budget], "limit": limit} for budget, limit in venue.limiter.limits.items()
            },
            "log": list(venue.log)[: -_REQUESTS - 1 : -1],
        },
        "drills": [
            {"key": key, "title": drill.title, "meaning": drill.meaning, "on": drill.is_on(venue)}
            for key, drill in DRILLS.items()
        ],
        "faults": len(venue.faults.dump()),
    }


def _quotes(venue: Venue, wanted: list[str]) -> list[Wire]:
    """Of the symbols that are traded or held; of the first ones where there are none yet."""
    asked = list(dict.fromkeys(wanted)) or [asset["symbol"] for asset in venue.exchange.assets(status="active")]
    told = venue.exchange.latest_quotes(asked[:_QUOTES])["quotes"]
    return [{"symbol": symbol, "bid": quote["bp"], "ask": quote["ap"]} for symbol, quote in sorted(told.items())]
