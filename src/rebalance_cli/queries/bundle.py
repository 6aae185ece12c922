"""The bundle for a bug report: plan, result, journal and log lines in one file, with the account data replaced."""

from __future__ import annotations

import json
import platform
import zipfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rebalance_cli.exit_codes import CliError
from rebalance_cli.queries.plans import PlanRecord
from rebalance_cli.queries.pseudonyms import Pseudonyms
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.settings import Settings

_RECORD: TypeAdapter[PlanRecord] = TypeAdapter(PlanRecord)
_GENERIC = (str(Settings.model_fields["account"].default),)
"""Account names that say nothing about an account."""
_PACKAGES = ("rebalance_executor", "alpaca-py", "aws-lambda-powertools", "boto3", "pydantic")
_LOG = "log.jsonl"


def bundle_documents(
    record: PlanRecord, lines: Iterable[Mapping[str, Any]], plan: RebalancePlan | None
) -> dict[str, Any]:
    """Return the decoded content of a bundle's files, by name, with account data.

    Args:
        record: the plan with its journal.
        lines: its log lines.
        plan: the plan itself, if the caller has it; a finished plan is no longer in the journal.
    """
    journal = _RECORD.dump_python(record, mode="json")
    result, stored = journal["journal"].pop("result"), journal["journal"].pop("document")
    document = plan.model_dump(mode="json") if plan is not None else stored
    documents = {"plan.json": document, "result.json": result, "journal.json": journal, _LOG: list(lines)}
    return {name: content for name, content in documents.items() if content is not None}


def write_bundle(path: Path, documents: Mapping[str, Any]) -> tuple[list[str], dict[str, int]]:
    """Write a bundle with pseudonyms in place of account data.

    Returns:
        The names of its files, and pseudonym → number of places.

    Raises:
        CliError: the file exists.
    """
    pseudonyms = Pseudonyms(documents.values(), _GENERIC)
    texts = {name: _text(name, pseudonyms.replaced(content)) for name, content in documents.items()}
    texts |= {name: _text(name, content) for name, content in _about(pseudonyms).items()}
    try:
        with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
    except FileExistsError:
        raise CliError(f"The file {path} exists.", "Choose another name, or delete it first.") from None
    return list(texts), pseudonyms.uses


def _about(pseudonyms: Pseudonyms) -> dict[str, Any]:
    versions = {"python": platform.python_version(), "system": platform.system()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"removed.json": pseudonyms.uses, "versions.json": versions}


def _text(name: str, content: Any) -> str:
    if name == _LOG:
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in content)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
