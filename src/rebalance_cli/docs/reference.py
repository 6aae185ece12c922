"""Pages that are made from the code. ``python -m rebalance_cli.docs.reference docs`` writes them below ``docs``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from rebalance_cli.docs.commands import commands_page, markdown_table
from rebalance_cli.docs.examples import read_examples
from rebalance_cli.docs.schemas import ANSWERS, SCHEMAS, schema_text, schemas
from rebalance_cli.enum_docs import member_docs
from rebalance_executor.domain import codes, errors, orders
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import ORDER_OF_CONTROLS
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.envelopes import EMPTY, SHAPES
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.settings import Settings
from rebalance_executor.telemetry import METRICS

_HEAD = """# Reference

Made from the code by `make reference`; a test compares. The commands are on their own page: [commands](commands.md).
"""
_CONTROLS_PAGE = "controls.md"
_CONTROLS_START = "<!-- order of controls, made from the code by make reference -->\n\n"
_CONTROLS_END = "\n<!-- end -->\n"


def documents(folder: Path) -> dict[str, str]:
    """Return path below ``docs`` → text of each document that is made from the code as a whole.

    Args:
        folder: the folder ``docs``, which has the examples of the commands.
    """
    published = {f"schemas/{name}": text for name, text in schemas().items()}
    answers = {
        f"schemas/cli/{name}.schema.json": schema_text(answer, is_input=False) for name, answer in ANSWERS.items()
    }
    return (
        published
        | answers
        | {"reference.md": _reference(), "commands.md": commands_page(read_examples(folder / "examples"))}
    )


def with_order_of_controls(page: str) -> str:
    """Return ``docs/controls.md`` with its table of the order of controls made from the code.

    Raises:
        ValueError: the page has no markers for the table.
    """
    before, start, rest = page.partition(_CONTROLS_START)
    _, end, after = rest.partition(_CONTROLS_END)
    if not start or not end:
        raise ValueError(f"{_CONTROLS_PAGE} has no markers for the order of controls")
    rows = ((str(n), stage, _code_list(listed)) for n, (stage, listed) in enumerate(ORDER_OF_CONTROLS, 1))
    return "".join((before, start, markdown_table(("", "stage", "checks, in this order"), rows), end, after))


def _code_list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _reference() -> str:
    parts = [
        _HEAD,
        _section("Environment", ("variable", "default", "meaning"), _variables()),
        _section("`EXECUTION_CONFIG`", ("field", "default", "meaning"), _config_fields()),
        _section("Outcomes of an item", ("outcome", "meaning"), _members(orders, "Outcome")),
        _section("Codes", ("code", "meaning"), _members(codes, "Code")),
        _section("Errors", ("error", "code", "redelivered", "meaning"), _errors()),
        _section("Log events", ("event", "severity", "meaning"), ((f"`{e}`", e.severity, e.meaning) for e in LogEvent)),
        _section("Metrics", ("metric", "meaning"), ((f"`{name}`", text) for name, text in METRICS.items())),
        _section("Events", ("JSON object", "executed", "samples in `events/`, or the next step"), _shapes()),
        _section("Schemas", ("schema", "of"), _schemas()),
    ]
    return "\n".join(parts)


def _section(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
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
    """Return a default value as it is written in the configuration."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    if isinstance(value, dict) and value:
        return "; ".join(f"{key} {one}" for key, one in value.items())
    return str(value)


def _errors() -> Iterator[tuple[str, str, str, str]]:
    for name, error in vars(errors).items():
        if inspect.isclass(error) and issubclass(error, errors.RebalanceError) and error.__module__ == errors.__name__:
            redelivered = "yes" if issubclass(error, errors.Redeliver) else "no"
            yield f"`{name}`", f"`{error.code}`", redelivered, _summary(error)


def _shapes() -> Iterator[tuple[str, str, str]]:
    for shape in sorted((*SHAPES, EMPTY), key=lambda shape: not shape.trades):
        yield shape.name, "yes" if shape.trades else "no", shape.remedy or _code_list(shape.samples)


def _schemas() -> Iterator[tuple[str, str]]:
    answers: dict[str, type[BaseModel]] = {f"cli/{name}.schema.json": answer for name, answer in ANSWERS.items()}
    for name, model in {**SCHEMAS, **answers}.items():
        yield f"[{name}](schemas/{name})", _summary(model)


def _summary(documented: type) -> str:
    return inspect.cleandoc(documented.__doc__ or "").split("\n\n")[0]


def _members(module: object, enum: str) -> Iterator[tuple[str, str]]:
    for name, meaning in member_docs(module, enum):
        yield f"`{name}`", meaning


def main(folder: str) -> None:
    """Write all documents below ``folder``."""
    for name, text in documents(Path(folder)).items():
        target = Path(folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    controls = Path(folder) / _CONTROLS_PAGE
    controls.write_text(with_order_of_controls(controls.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
