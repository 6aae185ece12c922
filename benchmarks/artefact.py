"""2. The artefact: the size of the unpacked package."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.row import Row

ROOT = Path(__file__).parents[1]
_ALLOWED_MB = 60


def measure() -> Iterator[Row]:
    """Build as ``sam build`` does, with packages from the network or pip's cache, and measure the result."""
    machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    with tempfile.TemporaryDirectory() as target:
        command = ["make", "--no-print-directory", "build-RebalanceFunction", f"ARTIFACTS_DIR={target}"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "ARCHITECTURE": machine}, check=True, capture_output=True)
        files = [path for path in Path(target).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        compiled = sum(path.stat().st_size for path in files if path.suffix == ".pyc") / 1e6
    yield Row("2 artefact", "unpacked, byte code included", size, "MB", goal=_ALLOWED_MB)
    yield Row("2 artefact", "of it byte code", compiled, "MB")
    yield Row("2 artefact", "files", len(files), "")
