"""The wheel as a user gets it: installed from ``dist`` into an empty environment, extra by extra.

    make wheel

With the package alone the handler and the simulation can be imported, with ``[cli]`` the commands work, and with
``[local]`` the tutorial does, outside of the checkout. The examples are type-checked against the installed package.
Packages have the versions of ``requirements/dev.txt``; with ``--newest`` the newest that the wheel permits.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from rebalance_sandbox.servers import Servers
from tests.support.documents import run_all, shell
from tests.support.processes import clean_environment

ROOT = Path(__file__).parents[2]
_TUTORIAL = ROOT / "docs" / "tutorial.md"
_FOR_A_CHECKOUT = ("make setup", ". .venv/bin/activate")
"""Commands of the tutorial that an installed wheel replaces."""
_PIN = re.compile(r"^([\w.-]+(?:\[[\w,]+\])?==[^\s;]+)", re.MULTILINE)
_IMPORTS = "import rebalance_executor.handler, rebalance_simulation, paper_broker.server"
_SAMPLE = ROOT / "events" / "plans" / "small.json"


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment of its own, and a folder outside of the checkout to work in.

    Args:
        folder: holds both.
        wheel: the wheel to install.
        constraints: file with the versions to install; None for the newest ones.
    """

    folder: Path
    wheel: Path
    constraints: Path | None

    @property
    def commands(self) -> Path:
        """Folder with ``python`` and ``rebalance``."""
        return self.folder / "venv" / "bin"

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for processes in this environment: nothing of the checkout is on a path."""
        inherited = clean_environment(NO_COLOR="1", COLUMNS="92")
        inherited.pop("PYTHONPATH", None)
        return inherited | {"PATH": f"{self.commands}:{inherited['PATH']}"}

    def install(self, extra: str = "") -> None:
        """Install the wheel with an extra, such as ``[cli]``, in addition to what is installed."""
        chosen = ["-c", str(self.constraints)] if self.constraints else []
        pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
        python = ["--python", str(self.commands / "python")]
        self.run([*pip, *python, "install", "--no-compile", *chosen, f"{self.wheel}{extra}"])

    def run(self, command: Sequence[str], code: int = 0) -> str:
        """Run a command in the folder and return its output.

        Raises:
            AssertionError: it ended with another exit code than ``code``; quotes its output.
        """
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert done.returncode == code, f"exit code {done.returncode} of {' '.join(map(str, command))}\n{output}"
        return output


def check_package(installed: Installed) -> None:
    """Check the package without extras: a library, and a command that says what it needs."""
    installed.install()
    installed.run(["python", "-c", _IMPORTS])
    missing = installed.run(["rebalance", "--help"], code=1)
    assert "pip install 'rebalance_executor[cli]'" in missing, missing


def check_commands(installed: Installed) -> None:
    """Check the extra ``cli``: commands work, and those of the sandbox say what they need."""
    installed.install("[cli]")
    valid = installed.run(["rebalance", "validate", str(_SAMPLE)])
    assert "valid" in valid, valid
    missing = installed.run(["rebalance", "local", "up"], code=2)
    assert "pip install 'rebalance_executor[local]'" in missing, missing


def check_tutorial(installed: Installed) -> None:
    """Check the extra ``local``: every command of the tutorial prints what the tutorial shows."""
    installed.install("[local]")
    work = installed.folder / "work"
    work.mkdir()
    try:
        with shell(work, installed.environment) as terminal:
            run_all(_TUTORIAL, terminal, skipped=_FOR_A_CHECKOUT)
    finally:
        for data_dir in installed.folder.rglob(".local"):
            Servers.of(data_dir).stop()


def check_types(installed: Installed) -> None:
    """Check that a type checker accepts the examples with the types of the installed package."""
    examples = [str(path) for path in sorted((ROOT / "examples").glob("*.py"))]
    python = ["--python-executable", str(installed.commands / "python"), "--config-file", ""]
    installed.run([sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *python, *examples])


_CHECKS = {
    "package": check_package,
    "[cli]": check_commands,
    "[local], tutorial": check_tutorial,
    "types": check_types,
}


def main(arguments: Sequence[str]) -> None:
    """Run all checks and print each one that succeeds."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    with tempfile.TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        constraints = None
        if "--newest" not in arguments:
            constraints = folder / "constraints.txt"
            pins = _PIN.findall((ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8"))
            constraints.write_text("\n".join(pins), encoding="utf-8")
        venv.create(folder / "venv", with_pip=False)
        installed = Installed(folder, wheel, constraints)
        for title, check in _CHECKS.items():
            check(installed)
            sys.stdout.write(f"{wheel.name}: {title}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
