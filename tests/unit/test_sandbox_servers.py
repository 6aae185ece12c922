"""What is remembered of servers: stale records are passed over, strangers are never signalled."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from rebalance_cli.exit_codes import CliError, Exit
from rebalance_sandbox.servers import LOOPBACK, Servers, ServerSpec, exclusive_use, process_start_time, delete_data, free_port

ABSENT = ServerSpec("absent", "absent server", "no_such_module_anywhere", "/", lambda _port: [], lambda _port: {})


def remembered(home: Path, record: object) -> Servers:
    (home / "run").mkdir(parents=True)
    (home / "run" / "absent.json").write_text(record if isinstance(record, str) else json.dumps(record))
    return Servers(home, [ABSENT])


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        {"port": 4566},
        {"port": 4566, "pid": 2**22 + 1, "born": "1"},
        {"port": 4566, "pid": os.getpid(), "born": "another life"},
        {"port": "4566", "pid": os.getpid(), "born": process_start_time(os.getpid())},
    ],
    ids=["empty", "torn", "list", "stopped", "no such process", "pid of a stranger", "wrong type"],
)
def test_a_stale_record_is_no_server_and_stops_nobody(tmp_path: Path, record: object) -> None:
    servers = remembered(tmp_path, record)

    assert servers.running() == {}
    assert servers.stop(["absent"]) == []


def test_a_record_with_the_right_birth_is_a_running_server(tmp_path: Path) -> None:
    servers = remembered(tmp_path, {"port": 4566, "pid": os.getpid(), "born": process_start_time(os.getpid())})

    assert servers.running()["absent"].url == "http://127.0.0.1:4566"


def test_a_missing_package_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no_such_module_anywhere is not installed") as error:
        Servers(tmp_path, [ABSENT]).start()

    assert "make setup" in error.value.next_step


def test_the_preferred_port_is_kept_if_it_is_free_and_left_if_not() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    free = free_port()
    assert free_port(free) == free


def test_two_commands_do_not_work_in_one_home_at_a_time(tmp_path: Path) -> None:
    with exclusive_use(tmp_path), pytest.raises(CliError, match="at work") as error, exclusive_use(tmp_path):
        pass

    assert error.value.code is Exit.IN_PROGRESS
    with exclusive_use(tmp_path):
        pass


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CliError, match="cannot be used"), exclusive_use(tmp_path / "file" / "home"):
        pass


def test_only_data_is_deleted(tmp_path: Path) -> None:
    for name in ("aws", "log", "run", "mine"):
        (tmp_path / name).mkdir()

    assert delete_data(tmp_path) == ["aws", "log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "run"]
