"""Errors that do not depend on the order: unknown paths, keys, bodies, queries and rate limits."""

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import KEYS, Api, broker_world


def test_unknown_path_is_not_found(api: Api) -> None:
    response = api("GET", "/v2/weather")

    assert (response.status_code, response.json()) == (404, {"code": 40410000, "message": "endpoint not found"})


@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS", "TRACE", "PROPFIND"])
def test_unsupported_method_is_not_allowed(api: Api, method: str) -> None:
    known, unknown = api(method, "/v2/account"), api(method, "/v2/weather")

    assert (known.status_code, known.json()) == (405, {"code": 40510000, "message": "method not allowed"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, 40410000)


def test_response_to_head_has_headers_alone(api: Api) -> None:
    response = api("HEAD", "/v2/account")

    assert (response.status_code, response.content) == (405, b"")
    assert api("GET", "/v2/account").status_code == 200  # the connection stays usable


@pytest.mark.parametrize(
    ("line", "status"), [(b"GET /v2/clock HTTP/9.9", 505), (b"GET", 400), (b"GET /v2/clock of today HTTP/1.1", 400)]
)
def test_request_that_is_not_http_gets_a_json_error(broker: PaperBroker, line: bytes, status: int) -> None:
    host, port = broker.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(line + b"\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = json.loads(response.read())

    assert (response.status, body["code"]) == (status, status * 100_000)


@pytest.mark.parametrize("headers", [{}, {"APCA-API-KEY-ID": "key"}, {"APCA-API-SECRET-KEY": "secret"}])
def test_both_keys_are_required(api: Api, headers: dict[str, str]) -> None:
    response = api("GET", "/v2/account", headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, 40110000)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"order"'])
def test_body_must_be_a_json_object(api: Api, raw: bytes) -> None:
    response = api("POST", "/v2/orders", data=raw)

    assert (response.status_code, response.json()["code"]) == (400, 40010000)


def test_content_length_must_be_a_number(broker: PaperBroker) -> None:
    connection = http.client.HTTPConnection(broker.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v2/orders")
    connection.putheader("Content-Length", "long")
    connection.endheaders()

    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/orders?status=lost", 422),
        ("/v2/orders?limit=many", 422),
        ("/v2/orders?after=noon", 422),
        ("/v2/orders?after_order_id=none", 404),
        ("/v2/orders?after_order_id=a&before_order_id=b", 422),
        ("/v2/orders?after_order_id=a&until=2026-01-26", 422),
        ("/v2/calendar?start=noon", 422),
        ("/v2/account/activities?page_token=x", 422),
        ("/v2/account/activities?page_size=101", 422),
        ("/v2/stocks/quotes/latest", 400),
    ],
)
def test_invalid_query_is_rejected(api: Api, path: str, status: int) -> None:
    assert api("GET", path).status_code == status


# Rate limits


@pytest.fixture
def limited() -> Iterator[Api]:
    """Start a broker that accepts three trading requests and one market-data request per minute."""
    with PaperBroker(broker_world(rate_limit={"trading": 3, "data": 1})) as broker:
        client = Api(broker.url)
        yield client
        client.close()


def test_every_response_has_rate_limit_headers(limited: Api) -> None:
    responses = [limited("GET", "/v2/account") for _ in range(4)]

    assert [response.headers["X-RateLimit-Remaining"] for response in responses] == ["2", "1", "0", "0"]
    assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"3"}
    assert {response.headers["X-RateLimit-Reset"] for response in responses} == {"1769439660"}
    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert responses[-1].json() == {"code": 42910000, "message": "rate limit exceeded"}


def test_market_data_has_its_own_budget_per_minute(limited: Api) -> None:
    quotes = "/v2/stocks/quotes/latest?symbols=ABC"
    assert [limited("GET", quotes).status_code for _ in range(2)] == [200, 429]
    assert limited("GET", "/v2/account").status_code == 200

    limited.advance(60)

    assert limited("GET", quotes).status_code == 200


def test_order_above_the_rate_limit_does_not_exist(limited: Api) -> None:
    for _ in range(3):
        limited("GET", "/v2/account")

    assert limited.order(client_order_id="late").status_code == 429

    limited.advance(60)
    assert limited("GET", "/v2/orders:by_client_order_id?client_order_id=late").status_code == 404


def test_every_response_has_a_unique_request_id(api: Api) -> None:
    ids = {api("GET", "/v2/account", headers=headers).headers["X-Request-ID"] for headers in (KEYS, KEYS, {})}

    assert len(ids) == 3
