"""Watchlists: they are kept, and their names and symbols are checked."""

from typing import Any

import pytest

from paper_broker.api import find_route
from paper_broker.exchange import Exchange
from paper_broker.routing import Request
from tests.unit.paper_broker.exchange_harness import ExchangeHarness


def call(harness: ExchangeHarness, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
    """Send a request and return status and body."""
    route, arguments = find_route(method, f"/v2/watchlists{path}")
    response = route(harness.exchange, Request(method, path, query, {}, body or {}, arguments))
    return response.status, response.body


def symbols(watchlist: Any) -> list[str]:
    return [asset["symbol"] for asset in watchlist["assets"]]


@pytest.fixture
def harness() -> ExchangeHarness:
    """Return an exchange with ABC, XYZ and a watchlist of ABC."""
    created = ExchangeHarness(assets=[{"symbol": "XYZ"}])
    call(created, "POST", "", {"name": "Tech", "symbols": ["ABC"]})
    return created


def the_list(harness: ExchangeHarness) -> Any:
    (found,) = call(harness, "GET", "")[1]
    return found


def test_watchlist_is_created_and_listed_without_its_assets(harness: ExchangeHarness) -> None:
    found = the_list(harness)

    assert (found["name"], found["account_id"]) == ("Tech", harness.exchange.account()["id"])
    assert "assets" not in found
    assert symbols(call(harness, "GET", f"/{found['id']}")[1]) == ["ABC"]


@pytest.mark.parametrize("by_name", [False, True])
def test_watchlist_is_changed_by_id_and_by_name(harness: ExchangeHarness, by_name: bool) -> None:
    path, query = (":by_name", {"name": "Tech"}) if by_name else (f"/{the_list(harness)['id']}", {})
    harness.wait(seconds=1)

    assert symbols(call(harness, "POST", path, {"symbol": "XYZ"}, **query)[1]) == ["ABC", "XYZ"]
    changed = call(harness, "PUT", path, {"symbols": ["XYZ"]}, **query)[1]

    assert symbols(changed) == ["XYZ"]
    assert changed["updated_at"] > changed["created_at"]
    assert call(harness, "DELETE", path, **query) == (204, None)
    assert call(harness, "GET", "") == (200, [])


def test_symbol_is_removed(harness: ExchangeHarness) -> None:
    path = f"/{the_list(harness)['id']}/ABC"

    assert symbols(call(harness, "DELETE", path)[1]) == []
    assert call(harness, "DELETE", path)[0] == 404


def test_watchlist_is_renamed(harness: ExchangeHarness) -> None:
    changed = call(harness, "PUT", f"/{the_list(harness)['id']}", {"name": "Banks"})[1]

    assert (changed["name"], symbols(changed)) == ("Banks", ["ABC"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"symbols": []}, 40010001),
        ({"name": "Tech"}, 40010001),
        ({"name": "x" * 65}, 40010001),
        ({"name": 3}, 40010001),
        ({"name": "Banks", "symbols": "ABC"}, 40010001),
        ({"name": "Banks", "symbols": ["ABC", "ABC"]}, 40010001),
        ({"name": "Banks", "symbols": ["NONE"]}, 42210000),
    ],
    ids=str,
)
def test_invalid_watchlist_is_rejected_and_changes_nothing(
    harness: ExchangeHarness, body: dict[str, Any], code: int
) -> None:
    status, error = call(harness, "POST", "", body)

    assert (status, error["code"]) == (422, code)
    assert [known["name"] for known in call(harness, "GET", "")[1]] == ["Tech"]


def test_own_name_may_be_kept(harness: ExchangeHarness) -> None:
    assert call(harness, "PUT", f"/{the_list(harness)['id']}", {"name": "Tech"})[0] == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_unknown_watchlist_is_not_found(harness: ExchangeHarness, method: str) -> None:
    assert call(harness, method, "/none")[0] == call(harness, method, ":by_name", name="none")[0] == 404


def test_watchlists_survive_a_restart(harness: ExchangeHarness) -> None:
    changes = harness.exchange.changes
    call(harness, "POST", "", {"name": "Banks", "symbols": ["XYZ"]})

    loaded = Exchange.load(harness.exchange.dump(), lambda: harness.now)

    assert harness.exchange.changes > changes
    assert loaded.watchlists.all() == harness.exchange.watchlists.all()
