"""The published JSON schemas.

They are made from the models, so that they cannot say anything else than the code does; a test compares.
"""

from __future__ import annotations

import json

from pydantic import BaseModel

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """File name → text of each schema."""
    return {
        "rebalance-plan.schema.json": schema_text(RebalancePlan, is_input=True),
        "execution-config.schema.json": schema_text(ExecutionConfig, is_input=True),
        "execution-result.schema.json": schema_text(ExecutionResult, is_input=False),
    }


def schema_text(model: type[BaseModel], *, is_input: bool) -> str:
    """The schema of one model, of what it takes or of what it gives."""
    schema = model.model_json_schema(mode="validation" if is_input else "serialization")
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"
