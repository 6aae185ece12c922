"""Detection of a local AWS that lost data: it writes its state when it ends, and a killed process writes nothing.

At each start a new ID is stored in the local AWS and in the data directory. A local AWS that was killed comes back with
the state, and so with the ID, of an earlier start. The simulated broker writes its state before it answers and
loses none.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from rebalance_sandbox.aws import LocalAwsClient
from rebalance_sandbox.errors import SandboxError


def start_generation(data_dir: Path, aws: LocalAwsClient) -> None:
    """Check that the local AWS has the state of its last start, and store the ID of this start.

    Raises:
        SandboxError: it has lost what changed since then, or everything.
    """
    marker = data_dir / "broker" / "aws_generation"
    expected = marker.read_text() if marker.exists() else None
    if expected is not None and aws.generation() != expected:
        raise SandboxError(
            "The local AWS was killed. It lost the journal, the kill switch and the results since its last start; the "
            "simulated broker kept its orders. With half of the data a plan could be executed twice.",
            "Delete both halves",
            ("local", "reset"),
        )
    generation = uuid.uuid4().hex
    aws.set_generation(generation)  # first: killed before the next line, it comes back with the ID of the marker
    marker.write_text(generation)
