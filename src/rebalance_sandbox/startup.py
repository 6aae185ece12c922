"""The sandbox for the duration of a block: servers started, tables and queues created."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rebalance_sandbox import stop_signals
from rebalance_sandbox.aws import LocalAwsClient
from rebalance_sandbox.generation import start_generation
from rebalance_sandbox.running import Sandbox
from rebalance_sandbox.servers import Servers, exclusive_use


@contextmanager
def started_sandbox(data_dir: Path, *, keep: bool = False) -> Iterator[Sandbox]:
    """Lock the data directory, start the servers that do not run, and stop those at the end of the block.

    Until then SIGTERM and SIGHUP have the effect of Ctrl-C: a terminated command stops its servers as well.

    Args:
        data_dir: directory with data, logs and server records.
        keep: let the servers run after the block.

    Raises:
        SandboxError: the servers cannot start, or another command holds the directory.
    """
    with (
        stop_signals.as_interrupt(),
        exclusive_use(data_dir),
        Servers.of(data_dir.resolve()).ready(keep=keep) as sandbox,
    ):
        _provision(sandbox)
        yield sandbox


def running_sandbox(data_dir: Path) -> Sandbox:
    """Return the sandbox whose servers run already. Several commands may share them.

    Raises:
        SandboxFailed: a server does not answer.
    """
    servers = Servers.of(data_dir).wait_ready()
    sandbox = Sandbox(data_dir, servers["aws"], servers["broker"], started=())
    _provision(sandbox)
    return sandbox


def _provision(sandbox: Sandbox) -> None:
    with LocalAwsClient(sandbox.aws.url) as aws:
        aws.provision()
        if sandbox.aws.name in sandbox.started:
            start_generation(sandbox.data_dir, aws)
