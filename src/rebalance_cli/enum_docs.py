"""Meanings of enumeration members: the string literals below them, which Python keeps only in the source text."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache

from rebalance_executor.domain import codes


def member_docs(module: object, enum: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each member of an enumeration with the text below it."""
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum).body
    for member, text in zip(body, [*body[1:], None], strict=True):
        if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
            is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            meaning = str(text.value.value) if is_text else ""  # type: ignore[union-attr]
            yield member.targets[0].id, " ".join(meaning.split())


@cache
def code_meanings() -> dict[str, str]:
    """Return the meaning of each order code."""
    return dict(member_docs(codes, "Code"))
