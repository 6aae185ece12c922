"""A directory with only the packages of the artefact, so that a test can run with nothing more."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")
"""Packages that Lambda's own image contains."""


def pins(name: str) -> dict[str, str]:
    """Return the pinned version by package of one requirements file."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ \\;\n]+)[ \\\n]*$", text, re.MULTILINE))


def deployed_packages(folder: Path) -> Path:
    """Link every package of ``requirements/lambda.txt`` and of the runtime into ``folder``, and return it.

    Requirements for other platforms are left out.
    """
    for name in (*pins("lambda"), *RUNTIME):
        for top in {file.parts[0] for file in distribution(name).files or () if file.parts[0] != ".."}:
            link = folder / top
            if top != "__pycache__" and not link.exists():
                link.symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder
