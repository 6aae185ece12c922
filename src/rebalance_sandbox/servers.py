"""The servers of a local run — AWS and the paper broker — as processes: started, found again, stopped by pid.

What is running is remembered in ``<home>/run/<name>.json``: the port (kept for the next start) and, while the
server runs, its pid with the moment that process was born. A pid alone is not proof: it may belong to a stranger
by now, and strangers are never signalled.
"""

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

from rebalance_cli.exit_codes import CliError, Exit

LOOPBACK = "127.0.0.1"
START_SECONDS = 20.0
"""Seconds a server may take to answer."""
STOP_SECONDS = 10.0
"""Seconds a server may take to save its state and end, before it is killed."""
_POLL_SECONDS = 0.02
_DATA = ("aws", "broker", "log")
"""Folders of a home directory that hold data."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """How one server is started.

    Args:
        name: short name, also of its files.
        title: what it is, for people.
        module: what ``python -m`` runs.
        health: path that answers 200 when it is ready.
        arguments: the command line after the module, for a port.
        environment: variables to set on top of this process's own, for a port.
    """

    name: str
    title: str
    module: str
    health: str
    arguments: Callable[[int], list[str]]
    environment: Callable[[int], dict[str, str]]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers."""

    spec: ServerSpec
    pid: int
    port: int
    born: str

    @property
    def url(self) -> str:
        """Its address on this machine."""
        return f"http://{LOOPBACK}:{self.port}"


def aws_spec(home: Path) -> ServerSpec:
    """DynamoDB, S3, SQS and EventBridge by ministack; its state is written when it ends, and read when it starts."""
    settings = {
        "BIND_HOST": LOOPBACK,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home / "aws" / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home / "aws" / "s3"),
        "SERVICES": "dynamodb,s3,sqs,events",
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # it would remove containers of other instances at its start
        "TMPDIR": str(home / "run"),
    }
    return ServerSpec(
        name="aws",
        title="local AWS",
        module="ministack",
        health="/_ministack/health",
        arguments=lambda _port: [],
        environment=lambda port: settings | {"GATEWAY_PORT": str(port)},
    )


def broker_spec(home: Path) -> ServerSpec:
    """The paper broker; it writes its state before it answers. Its page has the kill switch of this home."""
    state = home / "broker" / "state.json"
    lever = [
        "--lever",
        "Kill switch",
        json.dumps([sys.executable, "-m", "rebalance_sandbox.kill_switch_button", str(home)]),
    ]
    return ServerSpec(
        name="broker",
        title="paper broker",
        module="paper_broker",
        health="/admin/health",
        arguments=lambda port: ["--port", str(port), "--state", str(state), *lever],
        environment=lambda _port: {},
    )


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Both servers, ready."""

    home: Path
    aws: RunningServer
    broker: RunningServer
    started: tuple[str, ...]
    """Names of those that were started for it."""


@dataclass(slots=True)
class Servers:
    """The servers of one home directory."""

    home: Path
    specs: Sequence[ServerSpec]
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Path) -> Servers:
        """The local AWS and the paper broker of a home directory."""
        return cls(home, (aws_spec(home), broker_spec(home)))

    @contextmanager
    def ready(self, *, keep: bool) -> Iterator[Sandbox]:
        """Both servers, as long as the block lasts.

        Those that had to be started are stopped at the end, whatever happened: no process is left that nobody asked
        for, and the local AWS writes its state when it ends. With ``keep`` they stay, unless the block fails.
        """
        done = False
        try:
            self.start()
            up = self.wait_ready()
            yield Sandbox(self.home, up["aws"], up["broker"], tuple(self._children))
            done = True
        finally:
            if not (keep and done):
                self.stop(list(self._children))

    def running(self) -> dict[str, RunningServer]:
        """Those that are up, by name; stale records are passed over."""
        found = {}
        for spec in self.specs:
            match self._record(spec):
                case {"pid": int(pid), "port": int(port), "born": str(born)} if process_start_time(pid) == born:
                    found[spec.name] = RunningServer(spec, pid, port, born)
        return found

    def start(self) -> None:
        """Start what is not up, without waiting.

        Raises:
            CliError: a server's package is missing.
        """
        up = self.running()
        missing = [spec for spec in self.specs if spec.name not in up]
        for spec in missing:
            if importlib.util.find_spec(spec.module) is None:
                raise CliError(
                    f"The {spec.title} cannot start: the Python package {spec.module} is not installed.",
                    "Type make setup, and use that environment's command: .venv/bin/rebalance.",
                )
        for spec in missing:
            self._launch(spec)

    def wait_ready(self) -> dict[str, RunningServer]:
        """All servers, once each answers its health path.

        Raises:
            CliError: one ended or did not answer in time; shows the end of its log.
        """
        until = time.monotonic() + START_SECONDS
        up = self.running()
        for spec in self.specs:
            while spec.name not in up or not _answers(up[spec.name]):
                child = self._children.get(spec.name)
                if time.monotonic() > until or spec.name not in up or (child is not None and child.poll() is not None):
                    raise self._not_ready(spec)
                time.sleep(_POLL_SECONDS)
        return up

    def stop(self, names: Sequence[str] | None = None) -> list[str]:
        """End these servers (all by default) by their pid and wait until they have saved their state.

        Returns:
            The names of those that were running.
        """
        up = self.running()
        ended = [name for name in up if names is None or name in names]
        for name in ended:
            os.kill(up[name].pid, signal.SIGTERM)
        for name in ended:
            self._wait_ended(up[name])
            self._remember(up[name].spec, {"port": up[name].port})
        return ended

    def log_path(self, name: str) -> Path:
        """Where the server's own output goes."""
        return self.home / "log" / f"{name}.log"

    # --- one server --------------------------------------------------------------------------------------

    def _launch(self, spec: ServerSpec) -> None:
        for folder in ("run", "log", spec.name):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        port = free_port(self._record(spec).get("port"))
        with self.log_path(spec.name).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", spec.module, *spec.arguments(port)],
                env={**os.environ, "PYTHONUNBUFFERED": "1", **spec.environment(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the command: it stops its servers in order
            )
        self._children[spec.name] = child
        self._remember(spec, {"port": port, "pid": child.pid, "born": process_start_time(child.pid)})

    def _wait_ended(self, server: RunningServer) -> None:
        until = time.monotonic() + STOP_SECONDS
        child = self._children.pop(server.spec.name, None)
        while process_start_time(server.pid) == server.born:
            if child is not None:
                child.poll()
            if time.monotonic() > until:
                os.kill(server.pid, signal.SIGKILL)
                until += STOP_SECONDS
            time.sleep(_POLL_SECONDS)
        if child is not None:
            child.wait(timeout=STOP_SECONDS)

    def _not_ready(self, spec: ServerSpec) -> CliError:
        log = self.log_path(spec.name)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        said = f" It said: {lines[-1]}" if lines else ""
        return CliError(
            f"The {spec.title} did not come up.{said}",
            f"Look at {log}, then try again: rebalance local up",
            Exit.BROKEN,
        )

    def _record_path(self, spec: ServerSpec) -> Path:
        return self.home / "run" / f"{spec.name}.json"

    def _record(self, spec: ServerSpec) -> dict[str, object]:
        try:
            record = json.loads(self._record_path(spec).read_text())
        except (OSError, ValueError):
            return {}  # never started here, or a torn file: the next start writes a whole one
        return record if isinstance(record, dict) else {}

    def _remember(self, spec: ServerSpec, record: dict[str, object]) -> None:
        path = self._record_path(spec)
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(record))
        draft.replace(path)


@contextmanager
def exclusive_use(home: Path) -> Iterator[None]:
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
                f"Another rebalance local command is at work in {home}.", "Wait until it has ended.", Exit.IN_PROGRESS
            ) from None
        yield


def delete_data(home: Path) -> list[str]:
    """Delete tables, orders and logs; returns the folders that were there."""
    found = [name for name in _DATA if (home / name).exists()]
    for name in found:
        shutil.rmtree(home / name)
    return found


def process_start_time(pid: int) -> str | None:
    """When the process of that pid was born, as the system tells it; None if there is none (or only its remains)."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if after_name[0] == "Z" else after_name[19]
    told = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, born = told.stdout.strip().partition(" ")
    return None if not born or state.startswith("Z") else born.strip()


def free_port(preferred: object = None) -> int:
    """A port that nobody listens on: the preferred one if it is free, another if not."""
    for port in [preferred, 0] if isinstance(preferred, int) else [0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CliError("No free port on this machine's loopback.", "Close what holds the ports, then try again.")


def _answers(server: RunningServer) -> bool:
    session = requests.Session()
    session.trust_env = False  # no proxy on the way to this machine
    try:
        return session.get(server.url + server.spec.health, timeout=2).ok
    except requests.RequestException:
        return False
    finally:
        session.close()
