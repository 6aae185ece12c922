"""Every response has the fields and types that Alpaca publishes, whatever the request."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from paper_broker.api import ROUTES
from paper_broker.routing import Request, Response, Route
from tests.contract.arbitrary_requests import World, answer, requests, world
from tests.contract.published import ERROR, OPTIONS, PUBLISHED, Schema

SESSIONS = ("nyse", "always_open", "always_closed")
_ERRORS = {400, 403, 404, 422}


@pytest.fixture(scope="module", params=SESSIONS)
def known(request: pytest.FixtureRequest) -> World:
    """Return a broker; its state changes with the requests, as any state must be shown correctly."""
    return world(request.param)


def problems(response: Response, schema: Schema | None) -> list[str]:
    """Return what is wrong with a response."""
    if response.status == 204:
        return [] if response.body is None and schema is None else ["has or lacks a body"]
    return [error.message for error in Draft202012Validator(dict(schema or ERROR)).iter_errors(response.body)]


def test_every_route_is_published() -> None:
    assert {route.name for route in ROUTES} == PUBLISHED.keys() | OPTIONS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_response_has_the_published_fields(known: World, route: Route, data: st.DataObject) -> None:
    response = answer(known, route, data.draw(requests(route, known)))

    expected = PUBLISHED.get(route.name) if response.status == route.status else ERROR
    assert response.status == route.status or response.status in _ERRORS
    assert problems(response, expected) == []


SUCCESSES: Mapping[str, dict[str, str]] = {
    "GET /v2/stocks/bars": {"symbols": "ABC", "timeframe": "1Min", "feed": "iex"},
    "GET /v2/stocks/{symbol}/bars": {"timeframe": "1Hour", "feed": "iex", "start": "2026-01-20"},
    "GET /v2/stocks/trades": {"symbols": "ABC", "feed": "iex"},
    "GET /v2/stocks/{symbol}/trades": {"feed": "iex"},
    "GET /v2/stocks/{symbol}/quotes": {"feed": "iex"},
    "GET /v1/corporate-actions": {"symbols": "ABC", "start": "2026-01-26", "end": "2026-01-26"},
    "GET /v2/account/portfolio/history": {"period": "1D", "timeframe": "15Min"},
    "GET /v3/calendar/{market}": {"start": "2026-01-26"},
}


@pytest.mark.parametrize("name", SUCCESSES)
def test_published_fields_are_checked_on_rows_that_exist(name: str) -> None:
    route = next(route for route in ROUTES if route.name == name)
    known = world()
    symbol_or_market = ("NYSE",) if "{market}" in name else ("ABC",) if "{symbol}" in name else ()

    response = answer(known, route, Request("GET", route.template, SUCCESSES[name], arguments=symbol_or_market))

    assert response.status == 200
    assert all(response.body[field] for field in response.body if field != "next_page_token")
    assert problems(response, PUBLISHED[name]) == []
