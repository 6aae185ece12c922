"""Records of the local servers in ``<data directory>/run/<name>.json``. Starts and stops nothing.

A record holds the server's port, which is used again at the next start. While the server runs, the record also holds
its process ID and the start time of that process. The process ID alone does not identify the server: the
system may have given it to another process since, which the commands must never signal.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
SERVER_NAMES = ("aws", "broker")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server whose process is alive."""

    name: str
    pid: int
    port: int
    start_time: str
    """Start time of the process, as ``process_start_time`` returns it."""

    @property
    def url(self) -> str:
        """The address on this machine."""
        return f"http://{LOOPBACK}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Local AWS and simulated broker, both ready."""

    data_dir: Path
    aws: RunningServer
    broker: RunningServer
    started: tuple[str, ...]
    """Names of the servers that this command started."""


def running_servers(data_dir: Path, names: Iterable[str] = SERVER_NAMES) -> dict[str, RunningServer]:
    """Return the servers that run, by name. Outdated records are ignored."""
    servers = {}
    for name in names:
        match read_record(data_dir, name):
            case {"pid": int(pid), "port": int(port), "start_time": str(start_time)} if (
                process_start_time(pid) == start_time
            ):
                servers[name] = RunningServer(name, pid, port, start_time)
    return servers


def read_record(data_dir: Path, name: str) -> dict[str, object]:
    """Return the record of a server; empty if it never started here or the file is incomplete."""
    try:
        record = json.loads(_record_path(data_dir, name).read_text())
    except (OSError, ValueError):
        return {}  # the next start writes a complete one
    return record if isinstance(record, dict) else {}


def write_record(data_dir: Path, name: str, record: Mapping[str, object]) -> None:
    """Replace the record of a server in one step."""
    path = _record_path(data_dir, name)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(record))
    draft.replace(path)


def process_start_time(pid: int) -> str | None:
    """Return when a process started, in the system's own format; None if it does not exist or is a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if after_name[0] == "Z" else after_name[19]
    listed = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, start_time = listed.stdout.strip().partition(" ")
    return None if not start_time or state.startswith("Z") else start_time.strip()


def _record_path(data_dir: Path, name: str) -> Path:
    return data_dir / "run" / f"{name}.json"
