"""The published JSON schemas.

They are made from the models, so that they cannot say anything else than the code does; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


SCHEMAS: Mapping[str, type[BaseModel]] = {
    "rebalance-plan.schema.json": RebalancePlan,
    "execution-config.schema.json": ExecutionConfig,
    "execution-result.schema.json": ExecutionResult,
}
"""File name of each published schema → what it describes."""


def schemas() -> dict[str, str]:
    """File name → text of each schema: of what is taken, but of the result what is given."""
    return {name: schema_text(model, is_input=model is not ExecutionResult) for name, model in SCHEMAS.items()}


def schema_text(model: type[BaseModel], *, is_input: bool) -> str:
    """The schema of one model, of what it takes or of what it gives."""
    schema = model.model_json_schema(mode="validation" if is_input else "serialization")
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"
