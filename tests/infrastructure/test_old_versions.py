"""``scripts/prune-versions`` deletes old versions, never one that is used or may be rolled back to."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.infrastructure.templates import ROOT

SCRIPT = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "prune-versions")))


class Lambda:
    """A function with these versions, whose alias uses one of them, and another one for a part of the traffic."""

    def __init__(self, versions: range, live: int | None, canary: int | None = None) -> None:
        self._versions = versions
        weights = {"RoutingConfig": {"AdditionalVersionWeights": {str(canary): 0.1}}} if canary is not None else {}
        self._aliases = [{"Name": "live", "FunctionVersion": str(live), **weights}] if live is not None else []
        self.deleted: list[int] = []

    def get_paginator(self, operation: str) -> Any:
        return _Pages(self._version_pages if operation == "list_versions_by_function" else self._alias_pages)

    def _version_pages(self) -> Iterator[dict[str, Any]]:
        yield {"Versions": [{"Version": "$LATEST"}]}
        for number in self._versions:
            yield {"Versions": [{"Version": str(number)}]}

    def _alias_pages(self) -> Iterator[dict[str, Any]]:
        yield {"Aliases": self._aliases}

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:  # noqa: N803 - as boto3 names them
        assert FunctionName == "f"
        self.deleted.append(int(Qualifier))


class _Pages:
    def __init__(self, pages: Any) -> None:
        self._pages = pages

    def paginate(self, FunctionName: str) -> Any:  # noqa: N803 - as boto3 names them
        return self._pages()


def test_newest_versions_and_those_that_an_alias_uses_stay() -> None:
    rolled_back = Lambda(range(1, 13), live=3, canary=2)

    SCRIPT.prune(rolled_back, "f", 5, delete=True)

    assert rolled_back.deleted == [1, 4, 5, 6, 7]


def test_nothing_is_deleted_without_being_asked_for() -> None:
    function = Lambda(range(1, 13), live=12)

    assert SCRIPT.prune(function, "f", 5, delete=False) == [1, 2, 3, 4, 5, 6, 7]
    assert function.deleted == []


def test_few_versions_stay() -> None:
    assert SCRIPT.prune(Lambda(range(1, 4), live=3), "f", 5, delete=True) == []


def test_nothing_is_deleted_while_the_version_in_use_is_not_known() -> None:
    function = Lambda(range(1, 13), live=None)

    with pytest.raises(ValueError, match="no alias"):
        SCRIPT.prune(function, "f", 5, delete=True)
    assert function.deleted == []


@pytest.mark.parametrize("keep", ["1", "0", "-3"])
def test_version_to_roll_back_to_cannot_be_given_up(keep: str) -> None:
    with pytest.raises(SystemExit):
        SCRIPT.main(["f", "--keep", keep])
