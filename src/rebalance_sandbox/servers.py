"""The servers of the sandbox, local AWS and simulated broker, as processes: start, find, stop."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from rebalance_sandbox.errors import SandboxError, SandboxFailed, SandboxUnfinished
from rebalance_sandbox.running import (
    LOOPBACK,
    RunningServer,
    Sandbox,
    process_start_time,
    read_record,
    running_servers,
    write_record,
)

START_SECONDS = 20.0
"""Seconds a server has to answer its health path."""
STOP_SECONDS = 10.0
"""Seconds a server has to save its state and end before it is killed."""
_POLL_SECONDS = 0.02
_DATA_FOLDERS = ("aws", "broker", "log")
"""Folders of a data directory that ``rebalance local reset`` deletes."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """Command line and health check of one server.

    Args:
        name: short name, also used for its files.
        title: name for messages.
        module: module to run with ``python -m``.
        health: path that answers 200 when the server is ready.
        arguments: returns the command line after the module for a port.
        environment: returns the variables to set, in addition to those of this process, for a port.
    """

    name: str
    title: str
    module: str
    health: str
    arguments: Callable[[int], list[str]]
    environment: Callable[[int], dict[str, str]]


def aws_spec(data_dir: Path) -> ServerSpec:
    """Return the spec of ministack: DynamoDB, S3, SQS and EventBridge.

    It writes its state when it ends and reads it when it starts.
    """
    settings = {
        "BIND_HOST": LOOPBACK,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(data_dir / "aws" / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(data_dir / "aws" / "s3"),
        "SERVICES": "dynamodb,s3,sqs,events",
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # otherwise it removes containers of other instances when it starts
        "TMPDIR": str(data_dir / "run"),
    }
    return ServerSpec(
        name="aws",
        title="local AWS",
        module="ministack",
        health="/_ministack/health",
        arguments=lambda _port: [],
        environment=lambda port: settings | {"GATEWAY_PORT": str(port)},
    )


def broker_spec(data_dir: Path) -> ServerSpec:
    """Return the spec of the simulated broker.

    It writes its state before it answers a request. Its page shows the kill switch of this data directory. Its market
    is always open: a rehearsal must work in the evening and on a weekend.
    """
    state = data_dir / "broker" / "state.json"
    button = [sys.executable, "-m", "rebalance_sandbox.kill_switch_button", str(data_dir)]
    options = ["--operator-button", "Kill switch", json.dumps(button)]
    return ServerSpec(
        name="broker",
        title="simulated broker",
        module="paper_broker",
        health="/admin/health",
        arguments=lambda port: ["--port", str(port), "--state", str(state), "--always-open", *options],
        environment=lambda _port: {},
    )


@dataclass(slots=True)
class Servers:
    """The servers of one data directory."""

    data_dir: Path
    specs: Sequence[ServerSpec]
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, data_dir: Path) -> Servers:
        """Return local AWS and simulated broker of a data directory."""
        return cls(data_dir, (aws_spec(data_dir), broker_spec(data_dir)))

    @contextmanager
    def ready(self, *, keep: bool) -> Iterator[Sandbox]:
        """Start the servers that do not run, and provide both for the duration of the block.

        At the end of the block, also after an error, the servers that were started are stopped: no process is left
        behind, and the local AWS saves its state. With ``keep`` they continue to run unless the block fails.

        Raises:
            SandboxError: a server cannot start.
        """
        is_successful = False
        try:
            self.start()
            servers = self.wait_ready()
            yield Sandbox(self.data_dir, servers["aws"], servers["broker"], tuple(self._children))
            is_successful = True
        finally:
            if not (keep and is_successful):
                self.stop(list(self._children))

    def running(self) -> dict[str, RunningServer]:
        """Return the servers that run, by name."""
        return running_servers(self.data_dir, [spec.name for spec in self.specs])

    def start(self) -> None:
        """Start the servers that do not run, without waiting until they answer.

        Raises:
            SandboxError: the package of a server is not installed.
        """
        running = self.running()
        missing = [spec for spec in self.specs if spec.name not in running]
        for spec in missing:
            if importlib.util.find_spec(spec.module) is None:
                raise SandboxError(
                    f"The {spec.title} cannot start: the Python package {spec.module} is not installed.",
                    "Install it: pip install 'rebalance_executor[local]' (in a checkout: make setup)",
                )
        for spec in missing:
            self._launch(spec)

    def wait_ready(self) -> dict[str, RunningServer]:
        """Wait until every server answers its health path, and return the servers by name.

        Raises:
            SandboxFailed: a server ended or did not answer in time; quotes the last line of its log.
        """
        until = time.monotonic() + START_SECONDS
        running = self.running()
        for spec in self.specs:
            while spec.name not in running or not _answers(running[spec.name], spec.health):
                child = self._children.get(spec.name)
                has_ended = spec.name not in running or (child is not None and child.poll() is not None)
                if has_ended or time.monotonic() > until:
                    raise self._not_ready(spec)
                time.sleep(_POLL_SECONDS)
        return running

    def stop(self, names: Sequence[str] | None = None) -> list[str]:
        """Stop these servers, or all of them, and wait until they have saved their state.

        Returns:
            The names of the servers that were running.
        """
        running = self.running()
        stopped = [name for name in running if names is None or name in names]
        for name in stopped:
            os.kill(running[name].pid, signal.SIGTERM)
        for name in stopped:
            self._wait_ended(running[name])
            write_record(self.data_dir, name, {"port": running[name].port})
        return stopped

    def log_path(self, name: str) -> Path:
        """Return the file that receives the server's output."""
        return self.data_dir / "log" / f"{name}.log"

    # --- one server --------------------------------------------------------------------------------------

    def _launch(self, spec: ServerSpec) -> None:
        for folder in ("run", "log", spec.name):
            (self.data_dir / folder).mkdir(parents=True, exist_ok=True)
        port = free_port(read_record(self.data_dir, spec.name).get("port"))
        with self.log_path(spec.name).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", spec.module, *spec.arguments(port)],
                env={**os.environ, "PYTHONUNBUFFERED": "1", **spec.environment(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C must reach only the command, which then stops its servers in order
            )
        self._children[spec.name] = child
        record = {"port": port, "pid": child.pid, "start_time": process_start_time(child.pid)}
        write_record(self.data_dir, spec.name, record)

    def _wait_ended(self, server: RunningServer) -> None:
        until = time.monotonic() + STOP_SECONDS
        child = self._children.pop(server.name, None)
        while process_start_time(server.pid) == server.start_time:
            if child is not None:
                child.poll()
            if time.monotonic() > until:
                os.kill(server.pid, signal.SIGKILL)
                until += STOP_SECONDS
            time.sleep(_POLL_SECONDS)
        if child is not None:
            child.wait(timeout=STOP_SECONDS)

    def _not_ready(self, spec: ServerSpec) -> SandboxFailed:
        log = self.log_path(spec.name)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        last_line = f" Last line of its log: {lines[-1]}" if lines else ""
        return SandboxFailed(
            f"The {spec.title} did not start.{last_line}",
            f"Read {log}, then try again",
            ("local", "up"),
        )


@contextmanager
def exclusive_use(data_dir: Path) -> Iterator[None]:
    """Lock the data directory: two commands at the same time would stop each other's servers.

    Raises:
        SandboxError: the directory cannot be written.
        SandboxUnfinished: another command holds the lock.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("a")
    except OSError as error:
        raise SandboxError(
            f"The directory {data_dir} cannot be used: {error.strerror}.", "Choose another directory with --data-dir."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxUnfinished(
                f"Another rebalance command is using {data_dir}.",
                "Wait until it has finished, or choose another directory with --data-dir.",
            ) from None
        yield


def delete_data(data_dir: Path) -> list[str]:
    """Delete tables, orders and logs; return the names of the folders that existed."""
    folders = [name for name in _DATA_FOLDERS if (data_dir / name).exists()]
    for name in folders:
        shutil.rmtree(data_dir / name)
    return folders


def free_port(preferred: object = None) -> int:
    """Return a free port: the preferred one if possible.

    Raises:
        SandboxError: no port is free.
    """
    for port in [preferred, 0] if isinstance(preferred, int) else [0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SandboxError("This machine has no free port on loopback.", "Stop programs that hold ports, then try again.")


def _answers(server: RunningServer, health: str) -> bool:
    session = requests.Session()
    session.trust_env = False  # requests to this machine must not go through a proxy
    try:
        return session.get(server.url + health, timeout=2).ok
    except requests.RequestException:
        return False
    finally:
        session.close()
