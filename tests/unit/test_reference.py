"""The published reference and schemas are what the code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rebalance_cli.docs.reference import documents
from rebalance_cli.docs.schemas import schemas
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem

DOCS = Path(__file__).parents[2] / "docs"
PUBLISHED = DOCS / "schemas"


@pytest.mark.parametrize("name", documents())
def test_the_published_document_is_the_codes(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == documents()[name], "run make reference"


def test_no_other_schema_is_published() -> None:
    published = {f"schemas/{file.relative_to(PUBLISHED)}" for file in PUBLISHED.rglob("*.json")}
    assert published == {name for name in documents() if name.startswith("schemas/")}


def test_every_schema_names_its_dialect_and_its_fields() -> None:
    for text in schemas().values():
        schema = json.loads(text)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["properties"]


def test_the_plans_schema_requires_what_the_contract_requires() -> None:
    schema = json.loads(schemas()["rebalance-plan.schema.json"])
    item = schema["$defs"]["RebalancePlanItem"]
    assert set(schema["required"]) == {
        "plan_id",
        "correlation_id",
        "causation_id",
        "timestamp",
        "items",
        "total_portfolio_value",
        "total_trade_value",
    }
    assert set(item["required"]) == set(RebalancePlanItem.model_fields) - {"strategy_id"}
    assert set(schema["properties"]) == set(RebalancePlan.model_fields)
