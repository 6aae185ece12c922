"""Folders as Lambda runs them: our artefact, and the naive handler with and without byte code."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from tests.support.deployed import pins

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
LEFT_OUT = ("pandas", "numpy", "pytz", "msgpack", "sseclient-py", "websockets")
"""Packages that alpaca-py's clients import and our artefact does not contain."""
_OTHER_PLATFORMS = ("tzdata",)


@cache
def ours() -> Path:
    """Build as ``sam build`` does, with packages from the network or pip's cache, and return the folder."""
    machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    target = _empty("ours")
    command = ["make", "--no-print-directory", "build-RebalanceFunction", f"ARTIFACTS_DIR={target}"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "ARCHITECTURE": machine}, check=True, capture_output=True)
    return target


@cache
def naive() -> Path:
    """Return the naive handler with its packages as ``sam build`` unzips them: source without byte code."""
    target = _empty("naive")
    for name in (*pins("lambda"), *LEFT_OUT):
        if name not in _OTHER_PLATFORMS:
            copy_package(name, target)
    shutil.copyfile(ROOT / "benchmarks" / "naive_handler.py", target / "naive_handler.py")
    return target


@cache
def naive_compiled() -> Path:
    """Return the naive handler and its packages with byte code."""
    target = copy_of(naive(), "naive-compiled")
    compile_folder(target)
    return target


def copy_of(folder: Path, name: str) -> Path:
    """Return a copy of a built folder."""
    return Path(shutil.copytree(folder, _empty(name), dirs_exist_ok=True))


def copy_package(name: str, target: Path, part: str = "") -> None:
    """Copy the files of an installed package without byte code; ``part`` must be in their path."""
    for file in distribution(name).files or ():
        if file.suffix != ".pyc" and file.parts[0] != ".." and part in str(file):
            copy = target / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), copy)


def compile_folder(folder: Path) -> None:
    """Compile as the artefact is compiled."""
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)]
    subprocess.run(command, check=True)


def _empty(name: str) -> Path:
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
