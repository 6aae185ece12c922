"""The state file: what the broker acknowledged survives its death."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from paper_broker.formats import Wire


class StateFile:
    """One JSON file, replaced as a whole.

    Args:
        path: of the file; its directory is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> Wire | None:
        """The state; none if there is no file yet.

        Raises:
            ValueError: if the file is no JSON object.
        """
        if not self._path.exists():
            return None
        try:
            return dict(json.loads(self._path.read_text()))
        except (TypeError, ValueError) as error:
            message = f"The state file {self._path} is not readable: {error}. Move it away to start afresh."
            raise ValueError(message) from error

    def write(self, pieces: Iterable[str]) -> None:
        """Replace the file, so that a reader sees the old state or the new one and never a half.

        The new state outlives this process, however it ends. Whether it outlives a power cut is left to the system: to
        wait for the disk would make every request tens of milliseconds slower.
        """
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with draft.open("w") as file:
            file.writelines(pieces)
        draft.replace(self._path)
