"""The bench of a local run: servers up, tables there, one command at a time; what was started is stopped again."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rebalance_executor.cli.exits import CliError, Exit
from rebalance_executor.cli.processes import Running, Servers, aws_spec, broker_spec

DATA = ("aws", "broker", "log")
"""Folders of the home directory that ``reset`` deletes."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything is."""

    home: Path
    aws: Running
    broker: Running
    started: tuple[str, ...]
    """Names of the servers that this command started."""


def servers_of(home: Path) -> Servers:
    """The servers that belong to a home directory."""
    return Servers(home, (aws_spec(home), broker_spec(home)))


@contextmanager
def opened(home: Path, *, keep: bool) -> Iterator[Bench]:
    """A bench; unless ``keep``, the servers it had to start are stopped at the end, whatever happened."""
    with alone(home):
        servers = servers_of(home)
        done = False
        try:
            servers.start()
            up = servers.wait_ready()
            yield Bench(home, up["aws"], up["broker"], tuple(servers.launched))
            done = True
        finally:
            if not (keep and done):
                servers.stop(servers.launched)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the home directory's lock: two commands at a time would stop each other's servers.

    Raises:
        CliError: another command is at work, or the directory cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("a")
    except OSError as error:
        raise CliError(
            f"The directory {home} cannot be used: {error.strerror}.", "Name another one with --home."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CliError(
                f"Another rebalance local command is at work in {home}.", "Wait until it has ended.", Exit.DEFERRED
            ) from None
        yield


def stop_all(home: Path) -> list[str]:
    """Stop the servers that were left running; returns what was ended."""
    servers = servers_of(home)
    return servers.stop([spec.name for spec in servers.specs])


def delete_data(home: Path) -> list[str]:
    """Delete tables, orders and logs; returns the folders that were there."""
    found = [name for name in DATA if (home / name).exists()]
    for name in found:
        shutil.rmtree(home / name)
    return found
