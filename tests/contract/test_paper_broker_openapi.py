"""Responses conform to Alpaca's OpenAPI description, where it is at hand.

Set ``ALPACA_OPENAPI`` to a directory with the published description in YAML or JSON files, one per API. The description
is Alpaca's, so it is not part of this repository; :mod:`tests.contract.published` covers the same fields without it.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # as in the tests of the template
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from paper_broker.api import ROUTES
from paper_broker.routing import Request, Response, Route
from tests.contract.arbitrary_requests import World, answer, requests, world

_SOURCE = os.environ.get("ALPACA_OPENAPI", "")
_UNDOCUMENTED_ERRORS = {"400", "401", "403", "404", "422", "429"}
"""Statuses that Alpaca sends without describing them."""

pytestmark = pytest.mark.skipif(not _SOURCE, reason="ALPACA_OPENAPI names no directory with Alpaca's API description")


type Document = Mapping[str, Any]


def _anonymous(template: str) -> str:
    return re.sub(r"\{\w+\}", "{}", template)


@cache
def operations() -> Mapping[str, tuple[Document, Document]]:
    """Return operation and document by method and path, without the names of parameters."""
    return dict(_operations())


def _operations() -> Iterator[tuple[str, tuple[Document, Document]]]:
    for file in sorted(Path(_SOURCE).iterdir()) if _SOURCE else ():
        if file.suffix not in (".yaml", ".yml", ".json"):
            continue
        text = file.read_text()
        document = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
        for path, methods in document["paths"].items():
            shared = methods.get("parameters", [])
            for method, operation in methods.items():
                if method in ("get", "post", "put", "patch", "delete"):
                    parameters = [*shared, *operation.get("parameters", [])]
                    yield f"{method.upper()} {_anonymous(path)}", ({**operation, "parameters": parameters}, document)


DESCRIBED = [route for route in ROUTES if _anonymous(route.name) in operations()]


def resolve(document: Document, value: Document) -> Document:
    """Return what a value with a reference into the document refers to."""
    while "$ref" in value:
        found: Any = document
        for key in value["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        value = found
    return value


def values(document: Document, parameter: Document) -> st.SearchStrategy[str]:
    """Return the strategy of values that a parameter of the query may have."""
    schema = resolve(document, parameter.get("schema", {}))
    if schema.get("type") == "array":
        schema = resolve(document, schema["items"])
    if "enum" in schema:
        return st.sampled_from([str(value) for value in schema["enum"]])
    match schema.get("type"), schema.get("format"):
        case "boolean", _:
            return st.sampled_from(["true", "false"])
        case "integer", _:
            return st.integers(schema.get("minimum", 1), schema.get("maximum", 500)).map(str)
        case "string", "date" | "date-time":
            return st.sampled_from(["2026-01-20", "2026-01-26", "2026-01-26T14:50:00Z"])
    return st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)


def described_query(route: Route) -> st.SearchStrategy[dict[str, str]]:
    """Return the strategy of queries with values that the description allows."""
    operation, document = operations()[_anonymous(route.name)]
    parameters = [resolve(document, parameter) for parameter in operation["parameters"]]
    optional = {found["name"]: values(document, found) for found in parameters if found["in"] == "query"}
    return st.fixed_dictionaries({}, optional=optional)


def problems(route: Route, response: Response) -> list[str]:
    """Return how a response differs from its description."""
    operation, document = operations()[_anonymous(route.name)]
    described = operation["responses"].get(str(response.status))
    if described is None:
        known = str(response.status) in _UNDOCUMENTED_ERRORS
        return [] if known else [f"status {response.status} is not described: {response.body}"]
    schema = resolve(document, described).get("content", {}).get("application/json", {}).get("schema")
    if schema is None or response.status >= 300:
        return []
    whole = {**schema, "components": document["components"]}
    errors = Draft202012Validator(whole).iter_errors(_successes(response))
    return [f"{list(error.path)}: {error.message}" for error in errors]


def _successes(response: Response) -> Any:
    """Return the body; of several results without the errors, for which Alpaca describes no fields."""
    if response.status != HTTPStatus.MULTI_STATUS:
        return response.body
    return [
        row if row["status"] < 300 else {name: row[name] for name in row if name != "body"} for row in response.body
    ]


@pytest.fixture(scope="module", params=["nyse", "always_open"])
def known(request: pytest.FixtureRequest) -> World:
    """Return a broker; its state changes with the requests."""
    return world(request.param)


@pytest.mark.parametrize("route", DESCRIBED, ids=lambda route: route.name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_response_conforms_to_its_description(known: World, route: Route, data: st.DataObject) -> None:
    request = data.draw(requests(route, known))
    query = {**request.query, **data.draw(described_query(route))} if data.draw(st.booleans()) else request.query

    response = answer(known, route, Request(route.method, route.template, query, {}, request.body, request.arguments))

    assert problems(route, response) == []


def test_every_described_operation_has_a_route() -> None:
    missing = operations().keys() - {_anonymous(route.name) for route in ROUTES}

    assert missing == set()
