"""The published pages and schemas agree with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rebalance_cli.docs.reference import documents, with_order_of_controls
from rebalance_cli.docs.schemas import schemas
from rebalance_cli.report.page import CONTROLS
from rebalance_executor.domain.controls import ORDER_OF_CONTROLS
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem

DOCS = Path(__file__).parents[2] / "docs"
PUBLISHED = DOCS / "schemas"


@pytest.mark.parametrize("name", documents(DOCS))
def test_every_published_document_is_made_from_the_code(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == documents(DOCS)[name], "run make reference"


def test_the_published_order_of_controls_is_made_from_the_code() -> None:
    page = (DOCS / "controls.md").read_text(encoding="utf-8")

    assert page == with_order_of_controls(page), "run make reference"


def test_a_page_without_markers_for_the_order_of_controls_is_an_error() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_order_of_controls("# Controls\n")


def test_the_settings_of_every_control_are_documented() -> None:
    overview = (DOCS / "controls.md").read_text(encoding="utf-8").split("## Order of evaluation")[0]

    assert {code for _, codes in ORDER_OF_CONTROLS for code in codes if f"`{code}`" not in overview} == set()


def test_the_report_lists_every_control_once_in_the_order_of_evaluation() -> None:
    order = [code for _, codes in ORDER_OF_CONTROLS for code in codes]

    assert len(set(CONTROLS)) == len(CONTROLS)
    assert set(order) - set(CONTROLS) == {"PLAN_EXPIRED", "OVERFILL_GUARD"}, "errors deny no item"
    assert sorted(CONTROLS, key=order.index) == list(CONTROLS)


def test_no_other_schema_is_published() -> None:
    published = {f"schemas/{file.relative_to(PUBLISHED)}" for file in PUBLISHED.rglob("*.json")}
    assert published == {name for name in documents(DOCS) if name.startswith("schemas/")}


def test_every_schema_names_its_dialect_and_its_fields() -> None:
    for text in schemas().values():
        schema = json.loads(text)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["properties"]


def test_the_schema_of_plans_requires_the_fields_of_the_contract() -> None:
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
    optional = {"strategy_id", "execution_style", "limit_price"}
    assert set(item["required"]) == set(RebalancePlanItem.model_fields) - optional
    assert set(schema["properties"]) == set(RebalancePlan.model_fields)


def test_every_command_has_an_example() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")

    sections = re.split(r"^## (?=rebalance )", page, flags=re.MULTILINE)[1:]

    assert [section.splitlines()[0] for section in sections if "```console\n$ rebalance " not in section] == []
