"""Server records: outdated ones are ignored, and other processes are never signalled."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from rebalance_sandbox.errors import SandboxError, SandboxUnfinished
from rebalance_sandbox.running import LOOPBACK, process_start_time
from rebalance_sandbox.servers import Servers, ServerSpec, delete_data, exclusive_use, free_port

ABSENT = ServerSpec("absent", "absent server", "no_such_module_anywhere", "/", lambda _port: [], lambda _port: {})


def with_record(data_dir: Path, record: object) -> Servers:
    (data_dir / "run").mkdir(parents=True)
    (data_dir / "run" / "absent.json").write_text(record if isinstance(record, str) else json.dumps(record))
    return Servers(data_dir, [ABSENT])


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        {"port": 4566},
        {"port": 4566, "pid": 2**22 + 1, "start_time": "1"},
        {"port": 4566, "pid": os.getpid(), "start_time": "another process"},
        {"port": "4566", "pid": os.getpid(), "start_time": process_start_time(os.getpid())},
    ],
    ids=["empty", "incomplete", "list", "stopped", "no such process", "pid of another process", "wrong type"],
)
def test_outdated_record_is_no_server_and_stops_no_process(tmp_path: Path, record: object) -> None:
    servers = with_record(tmp_path, record)

    assert servers.running() == {}
    assert servers.stop(["absent"]) == []


def test_record_with_the_start_time_of_its_process_is_a_running_server(tmp_path: Path) -> None:
    servers = with_record(tmp_path, {"port": 4566, "pid": os.getpid(), "start_time": process_start_time(os.getpid())})

    assert servers.running()["absent"].url == "http://127.0.0.1:4566"


def test_missing_package_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no_such_module_anywhere is not installed") as error:
        Servers(tmp_path, [ABSENT]).start()

    assert "pip install 'rebalance_executor[local]'" in error.value.next_step


def test_preferred_port_is_used_if_it_is_free() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    free = free_port()
    assert free_port(free) == free


def test_second_command_cannot_use_a_data_directory_in_use(tmp_path: Path) -> None:
    with exclusive_use(tmp_path), pytest.raises(SandboxUnfinished, match="is using"), exclusive_use(tmp_path):
        pass

    with exclusive_use(tmp_path):
        pass


def test_unusable_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SandboxError, match="cannot be used"), exclusive_use(tmp_path / "file" / "data"):
        pass


def test_delete_data_leaves_other_folders(tmp_path: Path) -> None:
    for name in ("aws", "log", "run", "mine"):
        (tmp_path / name).mkdir()

    assert delete_data(tmp_path) == ["aws", "log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "run"]
