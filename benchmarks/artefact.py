"""The artefact: the size of the unpacked package."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import built
from benchmarks.row import Row

_ALLOWED_MB = 29


def measure() -> Iterator[Row]:
    """Measure the folder that ``sam build`` creates, and the naive handler's with byte code."""
    files = [path for path in built.ours().rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    compiled = sum(path.stat().st_size for path in files if path.suffix == ".pyc") / 1e6
    naive = sum(path.stat().st_size for path in built.naive_compiled().rglob("*") if path.is_file()) / 1e6
    yield Row("artefact", "unpacked, with byte code", size, "MB", naive, _ALLOWED_MB)
    yield Row("artefact", "its byte code", compiled, "MB")
    yield Row("artefact", "files", len(files), "")
