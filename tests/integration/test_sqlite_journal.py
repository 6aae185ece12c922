"""The file of the SQLite journal: killed processes, two processes at once, a full disk, and files that cannot be used.

The contract suites run on this file too; these tests show what only a file can suffer.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.sqlite import file as journal_file
from rebalance_executor.adapters.sqlite.client import SqliteDynamoDB
from rebalance_executor.adapters.sqlite.file import Connect, JournalFile, create
from rebalance_executor.domain.errors import ConfigurationError, JournalUnavailable, LeaseHeld
from rebalance_executor.domain.journal import PlanPhase, PlanStart
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, a_plan
from tests.support.journalled import ACCOUNT, PLAN_ID, filled_parent, parent, result, state

type Rows = list[tuple[Any, ...]]
HELD_UNTIL = NOW + timedelta(minutes=10)
LEASE = Lease(ACCOUNT, 1, "run-1", HELD_UNTIL)
KEY = {"pk": {"S": "COUNTER"}, "sk": {"S": "COUNTER"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    create(path)
    return path


def rows(path: Path) -> Rows:
    """Return everything that the file holds."""
    with JournalFile(path).reading() as database:
        return database.execute("SELECT * FROM items ORDER BY name, pk, sk").fetchall()


def client(path: Path, connect: Connect = journal_file.connect) -> Any:
    return SqliteDynamoDB(JournalFile(path, connect))


def journal(path: Path, connect: Connect = journal_file.connect) -> DynamoJournal:
    return DynamoJournal(client(path, connect), "execution", SimulatedClock())


def in_child(work: Callable[[], object]) -> int:
    """Run ``work`` in another process; return its process ID."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must never return into the test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int) -> int:
    """Return the wait status of a child: 0 if it succeeded, the signal if one ended it."""
    return os.waitpid(child, 0)[1]


# --- killed processes ------------------------------------------------------------------------------------


def steps(path: Path, connect: Connect = journal_file.connect) -> list[Callable[[], object]]:
    """Return the writes of a plan, one request each: controls, lease, start, progress, result, publication."""
    store = DynamoRiskStore(client(path, connect), "execution", SimulatedClock())
    written = journal(path, connect)
    switch = KillSwitchRecord(TradingState.ACTIVE, "ada", "start", NOW)
    finished = replace(state(), phase=PlanPhase.FINISHED)
    return [
        lambda: store.set_kill_switch(ACCOUNT, switch),
        lambda: written.acquire(ACCOUNT, LEASE.run_id, now=NOW, expires_at=HELD_UNTIL),
        lambda: written.write(LEASE, state(), parents=[parent()], start=PlanStart(a_plan(plan_id=PLAN_ID))),
        lambda: written.write(LEASE, state(), parents=[filled_parent()]),
        lambda: written.finish(LEASE, finished, parents=[filled_parent()], result=result(), to_publish=True),
        lambda: written.mark_published(LEASE, PLAN_ID, ["event"], NOW),
    ]


@pytest.fixture
def states(tmp_path: Path) -> list[Rows]:
    """Return what the file holds before the first write and after each of them, without any kill."""
    whole = tmp_path / "whole.sqlite"
    create(whole)
    found = [rows(whole)]
    for step in steps(whole):
        step()
        found.append(rows(whole))
    return found


def test_committed_writes_survive_a_kill_after_each_of_them(tmp_path: Path, states: list[Rows]) -> None:
    for count in range(1, len(states)):
        path = tmp_path / f"{count}.sqlite"
        create(path)

        def work(path: Path = path, count: int = count) -> None:
            for step in steps(path)[:count]:
                step()
            os.kill(os.getpid(), signal.SIGKILL)

        assert ended(in_child(work)) == signal.SIGKILL
        assert rows(path) == states[count]


def test_kill_at_any_statement_leaves_no_write_half_done(tmp_path: Path, states: list[Rows]) -> None:
    kills = 0
    while True:
        path, done = tmp_path / f"{kills}.sqlite", tmp_path / f"{kills}.done"
        create(path)

        def work(path: Path = path, done: Path = done, left: int = kills) -> None:
            for number, step in enumerate(steps(path, killed_after(left)), 1):
                step()
                done.write_text(str(number))

        status = ended(in_child(work))
        acknowledged = int(done.read_text()) if done.exists() else 0
        if status == 0:
            break
        assert status == signal.SIGKILL
        assert rows(path) in states[acknowledged : acknowledged + 2]
        kills += 1
    assert acknowledged == len(states) - 1
    assert kills > 5 * len(states)  # several statements of each write were reached


def killed_after(statements: int) -> Connect:
    """Return a way to open the file that kills the process before a later statement."""
    left = statements

    def count(_statement: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(uri: str) -> sqlite3.Connection:
        database = journal_file.connect(uri)
        database.set_trace_callback(count)
        return database

    return connect


def test_commits_are_synchronised_with_the_disk(path: Path) -> None:
    with JournalFile(path).writing() as database:
        assert database.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


# --- two processes at once -------------------------------------------------------------------------------


def test_one_of_several_processes_gets_the_lease(path: Path, tmp_path: Path) -> None:
    def acquire(name: str) -> None:
        try:
            journal(path).acquire(ACCOUNT, name, now=NOW, expires_at=HELD_UNTIL)
        except LeaseHeld:
            return
        (tmp_path / f"{name}.got").touch()

    children = [in_child(partial(acquire, f"run-{number}")) for number in range(4)]

    assert [ended(child) for child in children] == [0, 0, 0, 0]
    assert len(list(tmp_path.glob("*.got"))) == 1


def test_no_increment_of_two_processes_is_lost(path: Path) -> None:
    def count() -> None:
        table = client(path)
        for _ in range(20):
            table.update_item(
                TableName="execution",
                Key=KEY,
                UpdateExpression="SET amount = if_not_exists(amount, :none) + :one",
                ExpressionAttributeValues={":none": {"N": "0"}, ":one": {"N": "1"}},
            )

    children = [in_child(count) for _ in range(2)]

    assert [ended(child) for child in children] == [0, 0]
    assert client(path).get_item(TableName="execution", Key=KEY)["Item"]["amount"] == {"N": "40"}


def test_two_processes_create_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.sqlite"
    children = [in_child(lambda: create(path)) for _ in range(3)]

    assert [ended(child) for child in children] == [0, 0, 0]
    assert rows(path) == []


def test_lock_of_another_process_is_waited_for_within_bounds(path: Path) -> None:
    def impatient(uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=0.01, isolation_level=None)

    waiting = client(path, impatient)
    with JournalFile(path).writing(), pytest.raises(JournalUnavailable, match="locked by another process") as raised:
        waiting.put_item(TableName="execution", Item=KEY)

    assert str(path) in str(raised.value)
    assert rows(path) == []


# --- files that cannot be used ---------------------------------------------------------------------------


def test_full_disk_is_a_typed_error_and_writes_nothing(path: Path) -> None:
    def full(uri: str) -> sqlite3.Connection:
        database = journal_file.connect(uri)
        database.execute("PRAGMA max_page_count = 1")  # SQLite answers as on a full disk
        return database

    table = client(path, full)
    with pytest.raises(JournalUnavailable, match="disk is full") as raised:
        table.put_item(TableName="execution", Item=KEY | {"text": {"S": "x" * 300_000}})

    assert str(path) in str(raised.value)
    assert rows(path) == []


@pytest.mark.parametrize("version", [2, 99])
def test_newer_format_is_denied(path: Path, version: int) -> None:
    with JournalFile(path).writing() as database:
        database.execute(f"PRAGMA user_version = {version}")

    with pytest.raises(ConfigurationError, match=f"has format {version}.* newer release") as raised:
        JournalFile(path)
    assert raised.value.field == "JOURNAL_FILE"
    assert str(path) in str(raised.value)


def test_newer_format_is_denied_while_the_program_runs(path: Path) -> None:
    table = client(path)
    with JournalFile(path).writing() as database:
        database.execute("PRAGMA user_version = 2")

    with pytest.raises(JournalUnavailable, match="format 2"):
        table.put_item(TableName="execution", Item=KEY)


@pytest.mark.parametrize("content", [b"", b"not a database, only text " * 100], ids=["empty", "text"])
def test_file_that_is_no_journal_is_denied(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match="no journal") as raised:
        JournalFile(path)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == content


def test_database_of_another_program_is_denied(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    sqlite3.connect(path).execute("CREATE TABLE notes (text TEXT)").connection.close()

    with pytest.raises(ConfigurationError, match="no journal"):
        JournalFile(path)


def test_damaged_journal_is_denied(path: Path) -> None:
    for number in range(50):
        client(path).put_item(TableName="execution", Item=KEY | {"sk": {"S": str(number)}, "text": {"S": "x" * 999}})
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"damaged.*back-up"):
        rows(path)


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_missing_journal_is_not_replaced_by_an_empty_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "journal.sqlite"
    if kind == "directory":
        path.mkdir()

    with pytest.raises(ConfigurationError, match=r"does not exist|is not a file") as raised:
        JournalFile(path)
    assert str(path) in str(raised.value)
    assert path.exists() == (kind == "directory")


def test_journal_that_disappears_is_an_error(path: Path) -> None:
    table = client(path)
    path.unlink()

    with pytest.raises(JournalUnavailable, match="does not exist; restore the file"):
        table.put_item(TableName="execution", Item=KEY)
    assert not path.exists()


def test_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "journal.sqlite"

    with pytest.raises(ConfigurationError, match="cannot be created") as raised:
        create(path)
    assert str(path) in str(raised.value)


def test_journal_is_private_and_creating_it_again_keeps_it(path: Path) -> None:
    client(path).put_item(TableName="execution", Item=KEY)
    before = JournalFile(path).id

    create(path)

    assert JournalFile(path).id == before
    assert len(rows(path)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_journal_has_an_id_of_its_own(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    create(other)

    assert JournalFile(path).id != JournalFile(other).id


def test_client_needs_no_table_and_rejects_an_unknown_index(path: Path) -> None:
    table = client(path)

    assert (
        table.query(TableName="new", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "x"}})[
            "Items"
        ]
        == []
    )
    with pytest.raises(Exception, match="no index other"):
        table.query(
            TableName="new",
            IndexName="other",
            KeyConditionExpression="day = :day",
            ExpressionAttributeValues={":day": {"S": "x"}},
        )
