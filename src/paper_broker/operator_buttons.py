"""Operator buttons: switches of the program under test, such as its kill switch, on the simulated broker's page.

The broker knows only a name and a command. The command is fixed when the broker starts and runs without a shell. It is
called with ``on``, ``off`` or ``state`` as its last argument and prints ``{"on": true, "text": "…"}``.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

_TIMEOUT = 15
"""Maximum run time of a command, in seconds."""


@dataclass(frozen=True, slots=True)
class OperatorButton:
    """A button with a name and a command.

    Attributes:
        name: label of the button.
        command: program and arguments.
    """

    name: str
    command: Sequence[str]

    @classmethod
    def parse(cls, name: str, command: str) -> "OperatorButton":
        """Parse a button from the command line; ``command`` is a JSON list of strings.

        Raises:
            ValueError: the command is not such a list.
        """
        arguments = json.loads(command)
        if not isinstance(arguments, list) or not arguments or not all(isinstance(item, str) for item in arguments):
            raise ValueError(f"The command of the operator button {name!r} must be a JSON list of strings.")
        return cls(name, tuple(arguments))

    def run(self, action: str) -> dict[str, object]:
        """Run the command with ``on``, ``off`` or ``state``.

        Returns:
            ``name``, ``on`` and ``text`` as the command printed them. If it fails, ``on`` is None and ``text`` is the
            reason.
        """
        result: dict[str, object] = {"name": self.name, "on": None}
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command, and no shell
                [*self.command, action], capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
            printed = json.loads(done.stdout)
            return result | {"on": bool(printed["on"]), "text": str(printed["text"])}
        except (OSError, subprocess.SubprocessError) as error:
            return result | {"text": f"{type(error).__name__}: {error}"}
        except (ValueError, TypeError, LookupError):
            lines = (done.stderr or done.stdout).strip().splitlines()
            return result | {"text": lines[-1] if lines else f"exit status {done.returncode}, no output"}
