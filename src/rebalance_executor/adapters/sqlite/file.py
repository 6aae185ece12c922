"""The file of the SQLite journal: how it is created, opened and locked, with typed errors that name it.

Each request opens the file, and closes it when it is done: no process keeps a lock or a connection, and every request
checks the format. A rollback journal with ``synchronous=EXTRA`` makes a committed write survive the end of the process
and the loss of power; between two requests the journal is one file.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rebalance_executor.domain.errors import ConfigurationError, JournalUnavailable

FORMAT = 1
"""Number of the format of the file. A program denies a file of a newer format."""
VARIABLE = "JOURNAL_FILE"
BUSY_SECONDS = 5.0
"""Longest wait for another process that writes to the file."""

_APPLICATION_ID = 0x52424A4C
"""SQLite's mark of the program that a file belongs to."""
_BUSY = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED"})
_NO_SPACE = "SQLITE_FULL"
_DAMAGED = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
_SCHEMA = (
    """CREATE TABLE items (
        name TEXT NOT NULL, pk TEXT NOT NULL, sk TEXT NOT NULL, day TEXT, status TEXT, item TEXT NOT NULL,
        PRIMARY KEY (name, pk, sk)
    ) WITHOUT ROWID""",
    "CREATE INDEX items_by_day ON items (name, day, status) WHERE day IS NOT NULL",
    "CREATE TABLE journal (id TEXT NOT NULL)",
)

type Connect = Callable[[str], sqlite3.Connection]
"""Opens a database by its URI."""


def connect(uri: str) -> sqlite3.Connection:
    """Open a database; a write waits for another process for ``BUSY_SECONDS`` at most."""
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


class JournalFile:
    """A journal in one file.

    Args:
        path: the file. It must exist: an empty journal in its place would execute finished plans again.
        connect: opens the file.

    Raises:
        ConfigurationError: the file is missing, cannot be opened, is damaged or no journal, or has a newer format.
    """

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self.path = path.absolute()
        self._connect = connect
        self._was_usable = False
        with self.reading() as database:
            (self.id,) = database.execute("SELECT id FROM journal").fetchone()
        if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            raise self._invalid("cannot be written; give this user write permission for the file and its directory")
        self._was_usable = True

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Provide the open file.

        Raises:
            JournalUnavailable: the file cannot be read at this time, or has become unusable.
        """
        if not self.path.is_file():
            missing = "is not a file" if self.path.exists() else "does not exist"
            fix = "correct the path, restore the file, or create it with rebalance init"
            raise self._invalid(f"{missing}; {'restore the file' if self._was_usable else fix}")
        try:
            with closing(self._connect(f"{self.path.as_uri()}?mode=rw")) as database:
                self._check_format(database)
                yield database
        except sqlite3.Error as error:
            raise self._typed(error) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Provide the open file in a transaction, which is committed at the end of the block, or has no effect.

        Raises:
            JournalUnavailable: as for ``reading``; nothing was written.
        """
        with self.reading() as database:
            database.execute("PRAGMA synchronous = EXTRA")
            database.execute("PRAGMA fullfsync = ON")  # on macOS, a plain fsync does not survive the loss of power
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def _check_format(self, database: sqlite3.Connection) -> None:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION_ID:
            raise self._invalid("is no journal of this program; correct the path")
        if version != FORMAT:
            raise self._invalid(f"has format {version}, this program reads format {FORMAT}; install a newer release")

    def _typed(self, error: sqlite3.Error) -> ConfigurationError | JournalUnavailable:
        name = str(getattr(error, "sqlite_errorname", type(error).__name__))
        if any(name.startswith(damaged) for damaged in _DAMAGED):
            return self._invalid(f"is damaged or no journal ({error}); restore it from a back-up")
        if any(name.startswith(busy) for busy in _BUSY):
            problem = f"is locked by another process for more than {BUSY_SECONDS:.0f} seconds; try again"
        elif name == _NO_SPACE:
            problem = "cannot grow: its disk is full; free some space and try again"
        else:
            problem = f"cannot be used: {error} ({name}); check its disk and its permissions"
        return JournalUnavailable(f"journal {self.path} {problem}", journal=str(self.path), sqlite_code=name)

    def _invalid(self, problem: str) -> ConfigurationError | JournalUnavailable:
        """Return the error for a file that cannot be used.

        Once it could be used, orders may be open: the plan is not finished, and is not simply invalid.
        """
        if self._was_usable:
            return JournalUnavailable(f"journal {self.path} {problem}", journal=str(self.path))
        return ConfigurationError(VARIABLE, f"{self.path} {problem}")


def create(path: Path) -> None:
    """Create an empty journal that only this user can read. Do nothing if the journal exists.

    Raises:
        ConfigurationError: the file or its directory cannot be created.
    """
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with closing(connect(f"{path.as_uri()}?mode=rw")) as database:
            _create_tables(database)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)  # otherwise the loss of power could remove the new file
        finally:
            os.close(directory)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(VARIABLE, f"{path} cannot be created: {error}") from error


def _create_tables(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA synchronous = EXTRA")
    database.execute("BEGIN IMMEDIATE")
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0:
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute("INSERT INTO journal VALUES (?)", (uuid.uuid4().hex,))
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
    database.execute("COMMIT")
