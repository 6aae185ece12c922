"""Construction of the object graph from the settings, once per container. Only this module imports the adapters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

from rebalance_executor import health
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker, AlpacaBrokers
from rebalance_executor.adapters.alpaca.circuit_breaker import CircuitBreakerBroker
from rebalance_executor.adapters.alpaca.client import Trace
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.alpaca.history import AlpacaHistory
from rebalance_executor.adapters.aws import bound_responses, client_config
from rebalance_executor.adapters.clock import SystemClock, new_run_id
from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.adapters.dynamodb.cost_store import DynamoCostStore
from rebalance_executor.adapters.dynamodb.delivery_log import DynamoDeliveryLog
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.plan_index import DynamoPlanIndex
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.dynamodb.volume_cache import DynamoVolumeCache
from rebalance_executor.adapters.eventbridge import EventBridgePublisher
from rebalance_executor.adapters.s3 import S3PlanStore
from rebalance_executor.adapters.secrets import credentials_source
from rebalance_executor.adapters.sns import SnsPublisher
from rebalance_executor.adapters.sqs import SqsPlanQueue
from rebalance_executor.carried_plans import CarriedPlans
from rebalance_executor.daily_check import DailyCheck
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.market import Account
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.values import DAY_SECONDS, seconds
from rebalance_executor.execution.cost_update import LOOK_BACK, CostUpdate, Update
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.manager import PlanManager, lease_margin
from rebalance_executor.execution.ports import Broker, Clock, PlanLog, Ports, ResultPublisher
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.service import Service
from rebalance_executor.settings import Settings, load_settings
from rebalance_executor.telemetry import Telemetry

_PART_OF_RATE_LIMIT, _FEWEST_REQUESTS = 4, 10
"""Divisor of the rate limit for market data that no plan waits for, and its lower bound in requests per minute."""

_KEY_CHECK = timedelta(seconds=20)
"""Longest time of the check of new keys."""

ClientFactory = Callable[[str], Any]
"""Returns an AWS client by the name of its service."""


@cache
def telemetry() -> Telemetry:
    """Return the telemetry of this container."""
    return Telemetry()


@cache
def service() -> Service:
    """Return the service of this container. Warm invocations reuse its connections.

    Raises:
        ConfigurationError: a setting is missing or invalid; the message names its variable.
    """
    return build(load_settings(), telemetry())


def warm_up() -> None:
    """Build the service before the first invocation: Lambda's init phase has more processor time than an invocation.

    Makes no network calls, so that a SnapStart snapshot contains no connection and no secret. A missing setting is not
    an error here; the first invocation raises it.
    """
    with suppress(ConfigurationError):
        service()


def build(
    settings: Settings,
    telemetry: Telemetry,
    *,
    clock: Clock | None = None,
    clients: ClientFactory | None = None,
    stop_requested: Callable[[], bool] | None = None,
) -> Service:
    """Build the service from these settings.

    Args:
        settings: the environment.
        telemetry: log and metrics.
        clock: the source of time; the system clock by default.
        clients: creates AWS clients; those of ``client_factory`` by default.
        stop_requested: polled during a run, which stops safely once it returns true. By default no run is stopped.

    Raises:
        ConfigurationError: a setting is missing or invalid; the message names it.
    """
    clock = clock or SystemClock()
    clients = cache(clients or client_factory(settings))
    config = ExecutionConfig.from_json(settings.execution_config)
    on_request, trace = telemetry.count_request, telemetry.tracing.request
    ports = build_ports(settings, config, telemetry, clock=clock, clients=clients, on_request=on_request, trace=trace)
    ports = replace(ports, stop_requested=stop_requested or ports.stop_requested)
    database = clients("dynamodb")
    index = DynamoPlanIndex(database, settings.execution_table, clock)
    records = DynamoDBPersistenceLayer(settings.idempotency_table, boto3_client=database)

    costs = partial(cost_update, settings, config, ports, clients, trace=trace)
    daily_check = partial(_daily_check, settings, config, clients, ports, costs)
    return Service(
        account=settings.account,
        accounts=settings.accounts,
        plans=S3PlanStore(settings.plan_bucket, lambda: clients("s3")),
        delivery_log=DynamoDeliveryLog(database, settings.execution_table, clock),
        idempotency=IdempotencyGate(records, telemetry),
        queue=SqsPlanQueue(settings.plan_queue_url, lambda: clients("sqs"), clock, lease_margin(config), telemetry),
        manager=PlanManager(ports, config),
        journal=ports.journal,
        clock=clock,
        telemetry=telemetry,
        new_run_id=new_run_id,
        check_health=lambda deadline: health.check_health(health_checks(settings, clients, ports, deadline), telemetry),
        check_day=lambda deadline: daily_check(deadline).answer(),
        resume_plans=lambda deadline: daily_check(deadline).resume(),
        carried_plans=CarriedPlans(index, ports.journal, clock, config.max_plan_age_minutes).due,
        dry_run=partial(_dry_run, ports, config, DynamoRiskStore(database, settings.execution_table, clock)),
    )


def build_ports(  # noqa: PLR0913 - half of them are options
    settings: Settings,
    config: ExecutionConfig,
    log: PlanLog,
    *,
    clock: Clock | None = None,
    clients: ClientFactory | None = None,
    on_request: Callable[[str], None] = lambda _path: None,
    trace: Trace | None = None,
) -> Ports:
    """Build the ports with their adapters. Commands and scripts use them too.

    Args:
        settings: the tables and the broker.
        config: the execution settings.
        log: receives every log event.
        clock: the source of time; the system clock by default.
        clients: creates AWS clients; those of ``client_factory`` by default.
        on_request: called with method and path of every request to the broker, without IDs.
        trace: starts the trace of a request to the broker; None if requests are not traced.

    Raises:
        ConfigurationError: a setting is missing or invalid; the message names it.
    """
    clock = clock or SystemClock()
    clients = clients or cache(client_factory(settings))
    database = clients("dynamodb")
    credentials = credentials_source(settings, lambda: clients("secretsmanager"))
    brokers = AlpacaBrokers(settings, credentials, config, clock, on_request, trace)

    def broker(account: str, deadline: Deadline) -> Broker:
        return CircuitBreakerBroker(brokers.broker(account, deadline), config.max_broker_failures)

    return Ports(
        brokers=broker,
        broker_kind=settings.broker_kind,
        deployment=_deployment(settings, database),
        journal=DynamoJournal(database, settings.execution_table, clock),
        risk_store=DynamoRiskStore(database, settings.execution_table, clock),
        assets=DynamoAssetCache(
            database, settings.execution_table, clock, ttl=seconds(config.asset_cache_days * DAY_SECONDS)
        ),
        volumes=DynamoVolumeCache(database, settings.execution_table, clock),
        clock=clock,
        log=log,
        publishers=_publishers(settings, clients),
        close=brokers.close,
    )


def client_factory(settings: Settings) -> ClientFactory:
    """Return what creates the clients that the settings name: of AWS, and of a journal file in place of DynamoDB.

    The client of a journal file raises ``ConfigurationError`` when it is created if the file cannot be used.
    """
    path = settings.journal_file
    if path is None:
        return aws_client
    from rebalance_executor.adapters.sqlite.client import SqliteDynamoDB  # never imported by the deployed function
    from rebalance_executor.adapters.sqlite.file import JournalFile

    return lambda name: SqliteDynamoDB(JournalFile(path)) if name == "dynamodb" else aws_client(name)


def _deployment(settings: Settings, database: Any) -> str:
    """Return the name of the deployment. Each journal file has one, so that two files never share a broker account."""
    if settings.journal_file is None or "deployment" in settings.model_fields_set:
        return settings.deployment
    return f"journal {database.file.id}"


def read_account(settings: Settings, credentials: Credentials) -> Account:
    """Return the account that keys belong to, as the broker describes it. Reads no journal.

    Raises:
        CredentialsRejected: the broker rejects the keys.
        BrokerUnavailable: the broker did not answer.
    """
    clock = SystemClock()
    broker = AlpacaBroker(credentials, settings, ExecutionConfig(), clock, lambda _path: None)
    try:
        broker.set_deadline(clock.now() + _KEY_CHECK)
        return broker.account()
    finally:
        broker.close()


def aws_client(name: str) -> Any:
    """Return an AWS client with this program's timeouts, by the name of its service."""
    # Validation is slow: DynamoDB requests go without it, because this program builds all their items.
    return bound_responses(boto3.client(name, config=client_config(validated=name != "dynamodb")))


def _dry_run(
    ports: Ports, config: ExecutionConfig, bindings: DynamoRiskStore, plan: RebalancePlan, deadline: Deadline
) -> dict[str, Any]:
    """Size and price a plan on read-only ports."""
    from rebalance_executor.dry_run import dry_run  # deployments only: no plan waits for the import

    return dry_run(plan, deadline, ports, config, bindings.binding)


def _daily_check(  # noqa: PLR0913 - all but the last are bound once
    settings: Settings,
    config: ExecutionConfig,
    clients: ClientFactory,
    ports: Ports,
    costs: Callable[[Deadline], CostUpdate],
    deadline: Deadline,
) -> DailyCheck:
    """Return the daily check with its collaborators."""
    database, manager = clients("dynamodb"), PlanManager(ports, config)

    def finish(account: str) -> bool:
        """Finish the account's plan if it is left alone, in half of the time: the check itself needs some."""
        now = ports.clock.now()
        return manager.finish_left_alone(account, Deadline.after(now, (deadline.at - now) / 2), new_run_id())

    def update_costs() -> Update:
        """Read for half of the time that is left, so that the answer is never late."""
        now, update = ports.clock.now(), costs(deadline)
        return update.run((now - LOOK_BACK).date(), now.date(), now + (deadline.stop_at - now) / 2)

    return DailyCheck(
        market_clock=lambda: ports.brokers(settings.account, deadline).clock(),
        index=DynamoPlanIndex(database, settings.execution_table, ports.clock),
        journal=DynamoJournal(database, settings.execution_table, ports.clock),
        clock=ports.clock,
        log=ports.log,
        time_limit=seconds(config.plan_time_limit_minutes * 60),
        finish=finish,
        update_costs=update_costs,
    )


def cost_update(  # noqa: PLR0913 - one is an option
    settings: Settings,
    config: ExecutionConfig,
    ports: Ports,
    clients: ClientFactory,
    deadline: Deadline,
    *,
    trace: Trace | None = None,
) -> CostUpdate:
    """Return what reads the market data for the costs of finished plans. Commands use it too.

    Its requests take a fraction of the rate limit, which plans that run at the same time need more.
    """
    limit = max(_FEWEST_REQUESTS, config.rate_limit_per_minute // _PART_OF_RATE_LIMIT)
    credentials = credentials_source(settings, lambda: clients("secretsmanager"))
    slower = config.model_copy(update={"rate_limit_per_minute": limit})
    brokers = AlpacaBrokers(settings, credentials, slower, ports.clock, lambda _path: None, trace)
    database, table = clients("dynamodb"), settings.execution_table
    return CostUpdate(
        plans_of=DynamoPlanIndex(database, table, ports.clock).plans_of,
        load=ports.journal.load,
        store=DynamoCostStore(database, table, ports.clock),
        history=lambda account: AlpacaHistory(brokers.broker(account, deadline).market_data),
        broker=settings.broker_kind,
        clock=ports.clock,
        log=ports.log,
    )


def _publishers(settings: Settings, clients: ClientFactory) -> list[ResultPublisher]:
    """Return the configured publishers. Only their clients are created, because each one adds to the cold start."""
    publishers: list[ResultPublisher] = []
    if settings.result_bus:
        publishers.append(EventBridgePublisher(settings.result_bus, clients("events")))
    if settings.result_topic:
        publishers.append(SnsPublisher(settings.result_topic, clients("sns")))
    return publishers


def health_checks(
    settings: Settings, clients: ClientFactory, ports: Ports, deadline: Deadline
) -> dict[str, Callable[[], str]]:
    """Return the checks of a health request by name. Each one raises if its dependency does not answer."""

    bindings = DynamoRiskStore(clients("dynamodb"), settings.execution_table, ports.clock)
    place = settings.journal_file or settings.execution_table
    settings = settings.model_copy(update={"deployment": ports.deployment})

    def broker() -> Broker:
        return ports.brokers(settings.account, deadline)

    def idempotency() -> str:
        clients("dynamodb").get_item(TableName=settings.idempotency_table, Key={"id": {"S": "health"}})
        return f"{settings.idempotency_table} answers"

    def journal() -> str:
        ports.journal.result(settings.account, "health")
        return f"{place} answers"

    def plans() -> str:
        clients("s3").head_bucket(Bucket=settings.plan_bucket)
        return f"{settings.plan_bucket} can be listed"

    def results() -> str:
        clients("events").describe_event_bus(Name=settings.result_bus)
        return f"{settings.result_bus} exists"

    checks: dict[str, Callable[[], str]] = {
        **({} if settings.journal_file else {"idempotency": idempotency}),
        "journal": journal,
        "account": lambda: health.check_account(broker(), bindings.binding, settings),
        "clock": lambda: health.check_clock(broker(), ports.clock),
        "quotes": lambda: health.check_quotes(broker()),
    }
    if settings.plan_bucket:
        checks["plans"] = plans
    if settings.result_bus:
        checks["results"] = results
    return checks
