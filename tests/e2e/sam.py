"""The stack as its operator deploys it: ``sam build``, ``sam deploy`` and ``sam delete``."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-sam" / "bin"


@dataclass(frozen=True, slots=True)
class Sam:
    """AWS SAM in one environment.

    Args:
        environment: the variables of AWS: credentials, and the endpoint of a local AWS.
        region: the region of its stacks.
        folder: receives the built template and the output of each command.
    """

    environment: Mapping[str, str]
    region: str
    folder: Path

    @property
    def artefact(self) -> Path:
        """The folder with the built function."""
        return self.folder / "build" / "RebalanceFunction"

    def build(self) -> None:
        """Build ``template.yaml`` for this machine's architecture."""
        self._run("build", "--build-dir", str(self.folder / "build"), "--config-env", "dev", *_overrides({}))

    def deploy(self, stack: str, parameters: Mapping[str, object]) -> None:
        """Create the stack, or change it to these parameters."""
        self._run(
            *("deploy", "--template-file", str(self.folder / "build" / "template.yaml"), "--stack-name", stack),
            *("--region", self.region, "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"),
            *("--no-progressbar", "--no-fail-on-empty-changeset"),
            *_overrides(parameters),
        )

    def delete(self, stack: str) -> None:
        """Delete the stack; what its template retains stays."""
        self._run("delete", "--stack-name", stack, "--region", self.region, "--no-prompts")

    def _run(self, *arguments: str) -> None:
        completed = subprocess.run(
            [str(TOOLS / "sam"), *arguments],
            cwd=ROOT,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        output = f"{completed.stdout[-3000:]}\n{completed.stderr[-3000:]}"
        (self.folder / f"sam-{arguments[0]}.log").write_text(output)
        assert completed.returncode == 0, output


def architecture() -> str:
    """Return the architecture of this machine, for which the function is built."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def of_this_account(folder: Path) -> Sam:
    """Return SAM with the credentials and the region of the environment."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    assert region, "set AWS_REGION"
    return Sam(os.environ | {"SAM_CLI_TELEMETRY": "0"}, region, folder)


def _overrides(values: Mapping[str, object]) -> list[str]:
    given = {"Architecture": architecture()} | dict(values)
    return ["--parameter-overrides", " ".join(f"{name}={value}" for name, value in given.items())]
