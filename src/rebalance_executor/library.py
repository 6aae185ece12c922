"""Execution of plans from a script or a notebook: an account at Alpaca, and a journal on this machine.

``from rebalance_executor import ExecutionManager`` is the whole import. Everything that protects orders in the deployed
function protects them here: the journal, the lease, the controls. AWS is not used.
"""

from __future__ import annotations

import logging
import signal
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

from rebalance_executor import bootstrap
from rebalance_executor.adapters.alpaca.credentials import Credentials, validate_header_value
from rebalance_executor.adapters.clock import SystemClock, new_run_id
from rebalance_executor.adapters.sqlite import file as journal_file
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import AuctionPending, ConfigurationError, LiveNotAllowed, PlanYielded
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.manager import PlanManager
from rebalance_executor.execution.portfolio import read_portfolio
from rebalance_executor.settings import parse_settings
from rebalance_executor.user_files import default_journal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rebalance_executor.domain.journal import PlanState
    from rebalance_executor.domain.portfolio import Portfolio
    from rebalance_executor.domain.result import ExecutionResult
    from rebalance_executor.execution.ports import PlanLog, Ports

_SHORTEST_RUN = timedelta(minutes=5)
_SHOWN = ("symbol", "side", "qty", "limit_price", "filled_qty", "filled_avg_price", "status", "code", "reason")
"""Fields in the message of an event."""
_READ_TIME = timedelta(minutes=1)
"""Longest time to read the portfolio."""
_RUNS_PER_PLAN = 10
"""Runs in the time limit of a plan, at most, which is below ``max_runs``. A killed process holds the account for the
rest of one run."""


class PlanInterrupted(KeyboardInterrupt):
    """Ctrl-C stopped a plan safely: its open orders are canceled, and the journal has its state.

    Execute the plan again to continue it. It is a ``KeyboardInterrupt``, so that a script ends as usual.

    Attributes:
        plan_id: the plan.
        result: its result, if it was finished before the stop.
    """

    def __init__(self, plan_id: str, result: ExecutionResult | None = None) -> None:
        end = "was finished" if result is not None else "stopped safely: open orders are canceled"
        super().__init__(f"plan {plan_id} {end}; execute it again to {'read its result' if result else 'continue it'}")
        self.plan_id = plan_id
        self.result = result


class LoggedEvents:
    """Implementation of ``PlanLog`` that writes each event to a logger of the standard library.

    The message is the event with its most important fields; the record has all of them as ``event`` and ``fields``.

    Args:
        logger: receives the events; ``rebalance_executor`` by default.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("rebalance_executor")

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Log one event at its level. Fields that are None are left out."""
        known = {name: value for name, value in fields.items() if value is not None}
        text = " ".join([event.value, *(f"{name}={known[name]}" for name in _SHOWN if name in known)])
        level = logging.getLevelNamesMapping()[event.severity.value]
        self._logger.log(level, "%s", text, extra={"event": event, "fields": known})

    def earlier_plan(self, plan: PlanState) -> AbstractContextManager[None]:
        """Log which unfinished plan of the account is finished first."""
        self._logger.info("finishing plan %s first", plan.plan_id)
        return nullcontext()


class _HarmlessLog:
    """Implementation of ``PlanLog`` whose errors are printed, as those of ``logging`` are: they end no run.

    Args:
        log: receives the events.
    """

    def __init__(self, log: PlanLog) -> None:
        self._log = log

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Log one event."""
        try:
            self._log.emit(event, **fields)
        except Exception:  # noqa: BLE001 - an order may be open, and its run must continue
            traceback.print_exc()

    def earlier_plan(self, plan: PlanState) -> AbstractContextManager[None]:
        """Log everything within under this plan's IDs."""
        try:
            return self._log.earlier_plan(plan)
        except Exception:  # noqa: BLE001 - as above
            traceback.print_exc()
            return nullcontext()


class ExecutionManager:
    """Executes rebalance plans on one account at Alpaca: each plan once, no order twice, every outcome recorded.

    Create it with ``create_with_config``, and use it as a context manager::

        with ExecutionManager.create_with_config(api_key="…", secret_key="…") as manager:
            result = manager.execute_rebalance_plan(plan)

    It serves one thread at a time. Other processes may use the same journal.

    Args:
        ports: connections to the broker and to the journal.
        config: the execution settings.
        account: name of the account, for plans that do not name one.
        account_number: number of the account at the broker.
        journal: file of the journal.
    """

    def __init__(
        self, ports: Ports, config: ExecutionConfig, account: str, *, account_number: str, journal: Path
    ) -> None:
        self.account_number = account_number
        self.journal = journal
        self._is_stopping = False
        self._is_closed = False
        self._account = account
        self._ports = replace(ports, stop_requested=lambda: self._is_stopping)
        self._manager = PlanManager(self._ports, config)
        self._run_time = max(_SHORTEST_RUN, seconds(config.plan_time_limit_minutes * 60) / _RUNS_PER_PLAN)

    @classmethod
    def create_with_config(  # noqa: PLR0913 - all but the keys are options
        cls,
        *,
        api_key: str,
        secret_key: str,
        paper: bool = True,
        config: ExecutionConfig | None = None,
        journal: Path | str | None = None,
        account: str = "default",
        account_number: str | None = None,
        trading_url: str | None = None,
        data_url: str | None = None,
        log: PlanLog | None = None,
    ) -> Self:
        """Check the keys at the broker, open the journal, and return the manager.

        Args:
            api_key: API key of the account.
            secret_key: secret key that belongs to it.
            paper: False for real money, which needs ``account_number`` too.
            config: execution settings; the defaults if it is None.
            journal: file of the journal, created if it does not exist. By default one per broker account in the user's
                data directory; ``rebalance init --alpaca-paper`` uses the same one.
            account: name of the account in plans, in the journal and in the controls.
            account_number: number of the broker account that the keys must belong to.
            trading_url: another broker in place of Alpaca, for tests.
            data_url: its market data; the same address by default.
            log: receives every event; the logger ``rebalance_executor`` by default. Its errors are printed.

        Raises:
            CredentialsRejected: the broker rejects the keys.
            BrokerUnavailable: the broker did not answer.
            ConfigurationError: an argument is invalid, the keys belong to another account, or the journal cannot be
                used.
            LiveNotAllowed: real money without ``account_number``.
        """
        if not paper and account_number is None:
            raise LiveNotAllowed("account_number", "is missing; real money needs the number of the account")
        given = {"account": account, "trading_url": trading_url, "data_url": data_url, "journal": journal}
        if empty := next((name for name, value in given.items() if value == ""), None):
            raise ConfigurationError(empty, "is empty; leave it out for the default")
        if not isinstance(config, ExecutionConfig | None):
            raise ConfigurationError("config", "is no ExecutionConfig; create one from the settings")
        keys = Credentials(validate_header_value(api_key, "api_key"), validate_header_value(secret_key, "secret_key"))
        variables: dict[str, str | None] = {
            "ACCOUNT": account,
            "ALPACA_API_KEY": keys.api_key,
            "ALPACA_SECRET_KEY": keys.secret_key,
            "ALPACA_PAPER": str(paper).lower(),
            "LIVE_TRADING": "" if paper else "yes",
            "ALPACA_TRADING_URL": trading_url,
            "ALPACA_DATA_URL": data_url or trading_url,
        }
        settings = parse_settings({**variables, "JOURNAL_FILE": "created later"})
        number = bootstrap.read_account(settings, keys).account_number
        if account_number not in (None, number):
            raise ConfigurationError("account_number", f"is {account_number}, but the keys belong to account {number}")
        path = Path(journal if journal is not None else default_journal(number)).expanduser().absolute()
        journal_file.create(path)
        settings = parse_settings({**variables, "ALPACA_ACCOUNT_NUMBER": number, "JOURNAL_FILE": str(path)})
        chosen = config or ExecutionConfig()
        ports = bootstrap.build_ports(settings, chosen, _HarmlessLog(log or LoggedEvents()), clock=SystemClock())
        return cls(ports, chosen, account, account_number=number, journal=path)

    def execute_rebalance_plan(self, plan: RebalancePlan | Mapping[str, object]) -> ExecutionResult:
        """Execute the plan, continue it if it is unfinished, or return its stored result.

        Waits until the plan is finished, at most for its time limit (``plan_time_limit_minutes``) and the time to
        reconcile. Ctrl-C stops safely; pressed a second time, it stops at once.

        Args:
            plan: the plan, or its document as decoded JSON.

        Raises:
            InvalidInput: the plan can never be executed; the message names the field.
            Redeliver: the plan is not finished; call again with the same plan.
            OverfillGuard, JournalContradiction: the program stopped itself; compare broker and journal.
            PlanInterrupted: Ctrl-C, after the safe stop.
        """
        self._check_open()
        document = plan.model_dump(mode="json") if isinstance(plan, RebalancePlan) else plan
        parsed = RebalancePlan.parse(document)
        self._is_stopping = False
        with self._interruptible():
            result = self._run(parsed)
        if self._is_stopping:
            raise PlanInterrupted(parsed.plan_id, result)
        return result

    def portfolio(self) -> Portfolio:
        """Read equity, cash and all positions of the account, for ``RebalancePlan.from_weights``.

        Raises:
            InvalidInput: the broker reports no positive equity.
            BrokerUnavailable: the broker did not answer.
        """
        self._check_open()
        deadline = Deadline.after(self._ports.clock.now(), _READ_TIME)
        return read_portfolio(self._ports.brokers(self._account, deadline))

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConfigurationError("manager", "is closed; create a new one")

    def _run(self, plan: RebalancePlan) -> ExecutionResult:
        """Execute the plan in one run after another, as the deployed function does."""
        while True:
            deadline = Deadline.after(self._ports.clock.now(), self._run_time)
            try:
                return self._manager.execute(plan, plan.account or self._account, deadline, new_run_id())
            except AuctionPending:
                raise
            except PlanYielded:
                if self._is_stopping:
                    raise PlanInterrupted(plan.plan_id) from None

    def request_stop(self) -> None:
        """Ask the running plan to stop safely, as Ctrl-C does. For signal handlers and callbacks."""
        self._is_stopping = True

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let Ctrl-C stop safely within the block. Only the main thread can handle signals; others change nothing."""
        before = signal.getsignal(signal.SIGINT)

        def on_interrupt(number: int, _frame: FrameType | None) -> None:
            self.request_stop()
            signal.signal(number, before)  # the next one stops at once

        try:
            signal.signal(signal.SIGINT, on_interrupt)
        except ValueError:  # not the main thread
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def close(self) -> None:
        """Close the connections. The journal needs no closing: every write is complete."""
        self._is_closed = True
        with suppress(OSError):
            self._ports.close()

    def __enter__(self) -> Self:
        """Return the manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()
