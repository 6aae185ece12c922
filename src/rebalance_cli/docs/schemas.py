"""Published JSON schemas, made from the models; a test compares them with the code."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel

from rebalance_cli.answer import Answer
from rebalance_cli.calibration.answers import Calibration
from rebalance_cli.costs.answers import Costs
from rebalance_cli.new_plan_answers import NewPlan
from rebalance_cli.outputs import (
    BindingAnswer,
    Bundle,
    DayReport,
    DeadLetterDone,
    DeadLetters,
    Diagnosis,
    Explanation,
    Failure,
    KillSwitchAnswer,
    LocalDone,
    LocalUp,
    PlanDetails,
    Preview,
    Publication,
    Reconciliation,
    Served,
    StatusAnswer,
    Submission,
    Validation,
    Written,
)
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: Mapping[str, type[BaseModel]] = {
    "rebalance-plan.schema.json": RebalancePlan,
    "execution-config.schema.json": ExecutionConfig,
    "execution-result.schema.json": ExecutionResult,
}
"""File name of each published schema → its model."""

ANSWERS: dict[str, type[Answer]] = {
    "failure": Failure,
    "written": Written,
    "local-up": LocalUp,
    "local-done": LocalDone,
    "status": StatusAnswer,
    "status-plan": PlanDetails,
    "explain": Explanation,
    "report-day": DayReport,
    "report-bundle": Bundle,
    "validate": Validation,
    "plan-new": NewPlan,
    "preview": Preview,
    "submit": Submission,
    "switch": KillSwitchAnswer,
    "bind": BindingAnswer,
    "doctor": Diagnosis,
    "costs": Costs,
    "calibrate": Calibration,
    "reconcile": Reconciliation,
    "publish": Publication,
    "serve": Served,
    "dlq-list": DeadLetters,
    "dlq-done": DeadLetterDone,
}
"""Answer by name of its published schema. Commands that print a result use the schema of the result."""


def schemas() -> dict[str, str]:
    """Return file name → text of each schema: plan and configuration as they are read, the result as it is written."""
    return {name: schema_text(model, is_input=model is not ExecutionResult) for name, model in SCHEMAS.items()}


def schema_text(model: type[BaseModel], *, is_input: bool) -> str:
    """Return the schema of a model, as it is read (``is_input``) or as it is written."""
    schema = model.model_json_schema(mode="validation" if is_input else "serialization")
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"
