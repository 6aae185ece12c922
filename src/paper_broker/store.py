"""The state file: every acknowledged change survives the end of the process."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from paper_broker.formats import JsonObject


class StateFile:
    """A JSON file that is replaced as a whole.

    Args:
        path: path of the file. Its directory is created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> JsonObject | None:
        """Return the state, or None if the file does not exist yet.

        Raises:
            ValueError: the file is not a JSON object.
        """
        if not self._path.exists():
            return None
        try:
            return dict(json.loads(self._path.read_text()))
        except (TypeError, ValueError) as error:
            message = f"The state file {self._path} is not readable: {error}. Move it away to start with a new state."
            raise ValueError(message) from error

    def write(self, pieces: Iterable[str]) -> None:
        """Replace the file atomically: a reader sees either the old or the new state.

        The new state survives any end of this process. It may not survive a power failure: the file is not flushed to
        the disk (``fsync``), which would make every request tens of milliseconds slower.
        """
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with draft.open("w") as file:
            file.writelines(pieces)
        draft.replace(self._path)
