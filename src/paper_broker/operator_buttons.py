"""Levers: switches of the program under test that its operator hands to the paper broker's page.

The broker knows nothing of them but a name and a command. The command is fixed when the broker starts and runs without
a shell; ``on``, ``off`` or ``state`` is added to it, and it prints ``{"on": true, "text": "…"}``.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

_SECONDS = 15
"""How long a command may take."""


@dataclass(frozen=True, slots=True)
class Lever:
    """A switch with a name.

    Attributes:
        name: what its button says.
        command: program and arguments.
    """

    name: str
    command: Sequence[str]

    @classmethod
    def parse(cls, name: str, command: str) -> "Lever":
        """A lever of the command line, its command a JSON list of words.

        Raises:
            ValueError: if it is none.
        """
        words = json.loads(command)
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise ValueError(f"The command of the lever {name!r} must be a JSON list of words.")
        return cls(name, tuple(words))

    def ask(self, word: str) -> dict[str, object]:
        """Run the command with ``on``, ``off`` or ``state``; what it says, or why it could not be asked."""
        told: dict[str, object] = {"name": self.name, "on": None}
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command, and no shell
                [*self.command, word], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            answer = json.loads(done.stdout)
            return told | {"on": bool(answer["on"]), "text": str(answer["text"])}
        except (OSError, subprocess.SubprocessError) as error:
            return told | {"text": f"{type(error).__name__}: {error}"}
        except (ValueError, TypeError, LookupError):
            said = (done.stderr or done.stdout).strip().splitlines()
            return told | {"text": said[-1] if said else f"it ended with {done.returncode} and said nothing"}
