"""``ExecutionManager`` as a script or a notebook uses it: one import, an account at a broker, a journal in a file."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor import ExecutionConfig, ExecutionManager, PlanInterrupted, RebalancePlan
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    CredentialsRejected,
    InvalidInput,
    LiveNotAllowed,
    UnknownAccount,
)
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.execution.events import LogEvent
from tests.support.own_account import KEYS, NUMBER, SCENARIO, Machine, machine
from tests.support.processes import LOOPBACK, clean_environment, free_port
from tests.support.world import buy, plan

SECRET = KEYS["APCA_API_SECRET_KEY"]
RESTING: dict[str, Any] = SCENARIO | {"default_fill": {"behaviour": "never"}}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with machine(tmp_path) as own:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        yield own


def create(own: Machine, **options: Any) -> ExecutionManager:
    keys = {"api_key": KEYS["APCA_API_KEY_ID"], "secret_key": SECRET, "trading_url": own.broker.url}
    return ExecutionManager.create_with_config(**{**keys, **options})


def a_document(plan_id: str = "first", **fields: object) -> dict[str, Any]:
    made = {"plan_id": plan_id, "timestamp": datetime.now(UTC).isoformat()}
    return plan(buy("AAPL", "900"), total_portfolio_value="10000", total_trade_value="900", **{**made, **fields})


class OnEvent:
    """A log that calls ``act`` at each event with this name."""

    def __init__(self, event: LogEvent, act: Callable[[], object]) -> None:
        self._event = event
        self._act = act

    def emit(self, event: LogEvent, **_fields: object) -> None:
        if event is self._event:
            self._act()

    def earlier_plan(self, plan: PlanState) -> AbstractContextManager[None]:
        return nullcontext()


# --- a plan ----------------------------------------------------------------------------------------------


def test_plan_of_weights_is_made_from_the_accounts_portfolio(own: Machine) -> None:
    with create(own) as manager:
        before = manager.portfolio()
        made = RebalancePlan.from_weights({"AAPL": 0.1}, before, strategy_id="tenth", timestamp=datetime.now(UTC))
        result = manager.execute_rebalance_plan(made)
        after = manager.portfolio()

    assert result.status is ExecutionStatus.SUCCESS
    bought = after.value("AAPL") - before.value("AAPL")
    assert bought == pytest.approx(made.items[0].trade_amount, rel=Decimal("0.01"))
    with pytest.raises(ConfigurationError, match="closed"):
        manager.portfolio()


def test_plan_is_executed_once_whatever_manager_gets_it(own: Machine) -> None:
    document = a_document()
    with create(own) as manager:
        first = manager.execute_rebalance_plan(document)
        again = manager.execute_rebalance_plan(RebalancePlan.parse(document))
    with create(own) as manager:
        later = manager.execute_rebalance_plan(document)

    assert first.status is ExecutionStatus.SUCCESS
    assert first.filled_dollars > 0
    assert first == again == later
    assert len(own.broker.orders()) == 1


def test_manager_names_account_and_journal(own: Machine) -> None:
    with create(own) as manager:
        assert (manager.account_number, manager.journal) == (NUMBER, own.journal)
    with create(own, journal=str(own.folder / "chosen" / "j.sqlite")) as manager:
        assert manager.journal == own.folder / "chosen" / "j.sqlite"
    assert manager.journal.exists()


def test_commands_continue_the_journal_of_the_library(own: Machine) -> None:
    document = a_document()
    with create(own) as manager:
        manager.execute_rebalance_plan(document)
    own.init()

    assert "Already executed" in own.type("apply", own.file(document)).stdout
    assert own.type("status", "first").exit_code == 0


def test_configuration_is_used(own: Machine) -> None:
    with create(own, config=ExecutionConfig(max_order_dollars=Decimal(100))) as manager:
        result = manager.execute_rebalance_plan(a_document())

    assert result.status is ExecutionStatus.FAILURE
    assert own.broker.orders() == []


def test_events_go_to_the_standard_logger(own: Machine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rebalance_executor"), create(own) as manager:
        manager.execute_rebalance_plan(a_document())

    events = [record.__dict__["event"] for record in caplog.records]
    assert {LogEvent.PLAN_STARTED, LogEvent.ORDER_SUBMITTED, LogEvent.PLAN_FINISHED} <= set(events)
    assert any("symbol=AAPL" in record.message for record in caplog.records)
    assert SECRET not in caplog.text


def failing() -> None:
    raise RuntimeError("the log is broken")


def test_error_of_a_log_ends_no_run(own: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a log that raises after each submission, when a plan is executed, then it is finished and journalled."""
    log = OnEvent(LogEvent.ORDER_SUBMITTED, failing)

    with create(own, log=log) as manager:
        result = manager.execute_rebalance_plan(a_document())

    assert result.status is ExecutionStatus.SUCCESS
    assert "RuntimeError: the log is broken" in capsys.readouterr().err


# --- checked before anything else ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"secret_key": "wrong"}, CredentialsRejected, ""),
        ({"secret_key": ""}, ConfigurationError, "secret_key: is missing"),
        ({"api_key": "P K"}, ConfigurationError, "api_key"),
        ({"account_number": "PA9"}, ConfigurationError, f"belong to account {NUMBER}"),
        ({"paper": False}, LiveNotAllowed, "account_number"),
        ({"trading_url": "ftp://x"}, ConfigurationError, "ALPACA_TRADING_URL"),
        ({"trading_url": ""}, ConfigurationError, "trading_url: is empty"),
        ({"account": ""}, ConfigurationError, "account: is empty"),
        ({"config": {"max_plan_age_minutes": 1}}, ConfigurationError, "config: is no ExecutionConfig"),
        ({"account": "x" * 101}, ConfigurationError, "ACCOUNT"),
        ({"trading_url": f"http://{LOOPBACK}:{free_port()}"}, BrokerUnavailable, ""),
    ],
)
def test_wrong_arguments_are_typed_errors_and_write_nothing(
    own: Machine, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        create(own, **options)

    assert message in str(raised.value)
    assert SECRET not in str(raised.value)
    assert not own.journal.exists()


def test_file_that_is_no_journal_is_kept(own: Machine) -> None:
    path = own.folder / "notes.txt"
    path.write_text("notes")

    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        create(own, journal=path)
    assert path.read_text() == "notes"


def test_real_money_needs_the_account_number(own: Machine) -> None:
    with create(own, paper=False, account_number=NUMBER) as manager:
        assert manager.execute_rebalance_plan(a_document()).status is ExecutionStatus.SUCCESS


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"plan_id": "x"}, InvalidInput),
        (a_document(timestamp=(datetime.now(UTC) - timedelta(days=30)).isoformat()), InvalidInput),
        (a_document(account="other"), UnknownAccount),
    ],
    ids=["no plan", "an old plan", "another account"],
)
def test_invalid_plan_is_a_typed_error(own: Machine, document: dict[str, Any], error: type[Exception]) -> None:
    with create(own) as manager, pytest.raises(error):
        manager.execute_rebalance_plan(document)
    assert own.broker.orders() == []


def test_closed_manager_executes_nothing(own: Machine) -> None:
    with create(own) as manager:
        pass

    with pytest.raises(ConfigurationError, match="is closed"):
        manager.execute_rebalance_plan(a_document())
    assert own.broker.orders() == []


# --- Ctrl-C ----------------------------------------------------------------------------------------------


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Handle Ctrl-C as a Python process does that a person started; the workers of a parallel test run ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_interrupt_cancels_open_orders_and_the_next_call_continues(own: Machine) -> None:
    own.broker.load_scenario(RESTING)
    document, before = a_document(), signal.getsignal(signal.SIGINT)
    log = OnEvent(LogEvent.ORDER_SUBMITTED, interrupt)
    with create(own, log=log) as manager, pytest.raises(PlanInterrupted, match="open orders are canceled") as raised:
        manager.execute_rebalance_plan(document)
    stopped = own.broker.orders()
    fills = {"default_fill": {"behaviour": "immediate"}}
    own.broker.session.post(f"{own.broker.url}/admin/world", json=fills, timeout=5)
    with create(own) as manager:
        continued = manager.execute_rebalance_plan(document)

    assert (continued.status, continued.runs) == (ExecutionStatus.SUCCESS, 2)
    assert isinstance(raised.value, KeyboardInterrupt)
    assert (raised.value.plan_id, raised.value.result) == ("first", None)
    assert [order["status"] for order in stopped] == ["canceled"]
    assert signal.getsignal(signal.SIGINT) == before


def test_interrupt_at_the_end_keeps_the_result(own: Machine) -> None:
    document = a_document()
    with create(own, log=OnEvent(LogEvent.PLAN_FINISHED, interrupt)) as manager:
        with pytest.raises(PlanInterrupted) as raised:
            manager.execute_rebalance_plan(document)
        again = manager.execute_rebalance_plan(document)

    assert raised.value.result == again
    assert again.status is ExecutionStatus.SUCCESS


@pytest.mark.usefixtures("_ctrl_c")
def test_second_interrupt_stops_at_once_and_the_plan_can_be_continued(own: Machine) -> None:
    def twice() -> None:
        interrupt()
        interrupt()

    document = a_document()
    log = OnEvent(LogEvent.ORDER_INTENDED, twice)
    with create(own, log=log) as manager, pytest.raises(KeyboardInterrupt) as raised:
        manager.execute_rebalance_plan(document)
    with create(own) as manager:
        result = manager.execute_rebalance_plan(document)

    assert not isinstance(raised.value, PlanInterrupted)
    assert result.status is ExecutionStatus.SUCCESS
    assert len(own.broker.orders()) == 1


def test_other_thread_executes_without_signals_and_can_be_stopped(own: Machine) -> None:
    own.broker.load_scenario(RESTING)
    managers: list[ExecutionManager] = []
    stopped: list[BaseException] = []

    def request_stop() -> None:
        managers[0].request_stop()

    managers.append(create(own, log=OnEvent(LogEvent.ORDER_SUBMITTED, request_stop)))

    def work() -> None:
        try:
            managers[0].execute_rebalance_plan(a_document())
        except PlanInterrupted as error:
            stopped.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)

    assert len(stopped) == 1
    assert [order["status"] for order in own.broker.orders()] == ["canceled"]


# --- the import ------------------------------------------------------------------------------------------


def test_import_of_the_package_imports_neither_library_nor_sqlite() -> None:
    program = (
        "import sys, rebalance_executor; "
        "print('rebalance_executor.library' in sys.modules, 'sqlite3' in sys.modules, "
        "rebalance_executor.ExecutionManager.__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "rebalance_executor.library"]


def test_unknown_name_of_the_package_is_an_error() -> None:
    import rebalance_executor

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = rebalance_executor.Nothing
