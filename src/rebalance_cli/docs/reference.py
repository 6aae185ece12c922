"""``python -m rebalance_cli.docs.reference docs`` writes schemas, reference and commands from the code."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from rebalance_cli.docs.commands import commands_page, markdown_table
from rebalance_cli.docs.schemas import SCHEMAS, schema_text, schemas
from rebalance_cli.enum_docs import member_docs
from rebalance_cli.outputs import ANSWERS
from rebalance_executor.domain import codes, errors, orders
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.settings import Settings
from rebalance_executor.telemetry import METRICS

_HEAD = """# Reference

Made from the code by `make reference`; a test compares. The commands have a page of their own: [commands](commands.md).
"""


def documents() -> dict[str, str]:
    """Path below ``docs`` → text of everything that is made from the code."""
    published = {f"schemas/{name}": text for name, text in schemas().items()}
    answers = {
        f"schemas/cli/{name}.schema.json": schema_text(answer, is_input=False) for name, answer in ANSWERS.items()
    }
    return published | answers | {"reference.md": _reference(), "commands.md": commands_page()}


def _reference() -> str:
    parts = [
        _HEAD,
        _table("Environment", ("variable", "default", "meaning"), _variables()),
        _table("`EXECUTION_CONFIG`", ("field", "default", "meaning"), _config_fields()),
        _table("Outcomes of an order", ("outcome", "meaning"), _members(orders, "Outcome")),
        _table("Codes", ("code", "meaning"), _members(codes, "Code")),
        _table("Errors", ("error", "code", "delivered again", "meaning"), _errors()),
        _table("Log events", ("event", "severity", "meaning"), ((f"`{e}`", e.severity, e.meaning) for e in LogEvent)),
        _table("Metrics", ("metric", "meaning"), ((f"`{name}`", text) for name, text in METRICS.items())),
        _table("Schemas", ("schema", "of"), _schemas()),
    ]
    return "\n".join(parts)


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return f"## {title}\n\n{markdown_table(columns, rows)}"


def _variables() -> Iterator[tuple[str, str, str]]:
    for field in Settings.model_fields.values():
        default = "required" if field.default is PydanticUndefined else f"`{field.default}`" if field.default else ""
        if field.description:
            yield f"`{field.validation_alias}`", _lower(default), field.description


def _lower(default: str) -> str:
    return default.lower() if default in ("`True`", "`False`") else default


def _config_fields() -> Iterator[tuple[str, str, str]]:
    for name, field in ExecutionConfig.model_fields.items():
        yield f"`{name}`", f"`{_default(field.default)}`", field.description or ""


def _default(value: object) -> str:
    """Return a default as readers write it."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    if isinstance(value, dict) and value:
        return "; ".join(f"{key} {one}" for key, one in value.items())
    return str(value)


def _errors() -> Iterator[tuple[str, str, str, str]]:
    for name, error in vars(errors).items():
        if inspect.isclass(error) and issubclass(error, errors.RebalanceError) and error.__module__ == errors.__name__:
            again = "yes" if issubclass(error, errors.Redeliver) else "no"
            yield f"`{name}`", f"`{error.code}`", again, inspect.cleandoc(error.__doc__ or "").split("\n\n")[0]


def _schemas() -> Iterator[tuple[str, str]]:
    answers: dict[str, type[BaseModel]] = {f"cli/{name}.schema.json": answer for name, answer in ANSWERS.items()}
    for name, model in {**SCHEMAS, **answers}.items():
        yield f"[{name}](schemas/{name})", inspect.cleandoc(model.__doc__ or "").split("\n\n")[0]


def _members(module: object, enum: str) -> Iterator[tuple[str, str]]:
    for name, meaning in member_docs(module, enum):
        yield f"`{name}`", meaning


def main(folder: str) -> None:
    """Write every document below ``folder``."""
    for name, text in documents().items():
        target = Path(folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
