"""Settings → object graph, once for each container. Only this file knows which adapter stands behind which port."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

from rebalance_executor import daily_check, health
from rebalance_executor.adapters.alpaca.broker import AlpacaBrokers
from rebalance_executor.adapters.alpaca.circuit_breaker import CircuitBreakerBroker
from rebalance_executor.adapters.aws import client_config
from rebalance_executor.adapters.clock import SystemClock, new_run_id
from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.plan_index import DynamoPlanIndex
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.eventbridge import EventBridgePublisher
from rebalance_executor.adapters.s3 import S3PlanStore
from rebalance_executor.adapters.secrets import credentials_source
from rebalance_executor.adapters.sns import SnsPublisher
from rebalance_executor.adapters.sqs import SqsPlanQueue
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.manager import ExecutionManager, lease_margin
from rebalance_executor.execution.ports import Broker, Clock, EventLog, Ports, ResultPublisher
from rebalance_executor.execution.run import Deadline
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.service import Service
from rebalance_executor.settings import Settings, load_settings
from rebalance_executor.telemetry import Telemetry

ClientFactory = Callable[[str], Any]
"""Gives an AWS client by the name of its service."""


@cache
def telemetry() -> Telemetry:
    """Logger, metrics and tracer of this container."""
    return Telemetry()


@cache
def service() -> Service:
    """The whole program of this container; connections are kept and used again by warm invocations.

    Raises:
        ConfigurationError: names the variable that is missing or unusable.
    """
    return build(load_settings(), telemetry())


def warm_up() -> None:
    """Build the program before the first plan comes: Lambda's init has more processor time than an invocation has.

    Nothing is asked of anybody, so that a snapshot holds no open connection and no secret. A setting that is missing is
    left to the invocation, which names it in its answer.
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
    """The program on these settings; tests give a clock and clients of their own, commands a way to stop it.

    Raises:
        ConfigurationError: names the setting that is missing or unusable.
    """
    clock = clock or SystemClock()
    clients = cache(clients or aws_client)
    config = ExecutionConfig.from_json(settings.execution_config)
    ports = build_ports(settings, config, telemetry, clock=clock, clients=clients, on_request=telemetry.count_request)
    if stop_requested is not None:
        ports = replace(ports, stop_requested=stop_requested)

    def check_health(deadline: Deadline) -> dict[str, Any]:
        return health.check_health(health_checks(settings, clients, ports, deadline), telemetry)

    def check_day(deadline: Deadline) -> dict[str, Any]:
        index = DynamoPlanIndex(clients("dynamodb"), settings.execution_table)
        return daily_check.check_day(ports.brokers(settings.account, deadline), index, telemetry)

    return Service(
        account=settings.account,
        plans=S3PlanStore(settings.plan_bucket, lambda: clients("s3")),
        idempotency=IdempotencyGate(
            DynamoDBPersistenceLayer(settings.idempotency_table, boto3_client=clients("dynamodb")), telemetry
        ),
        queue=SqsPlanQueue(settings.plan_queue_url, lambda: clients("sqs"), lease_margin(config), telemetry),
        manager=ExecutionManager(ports, config),
        journal=ports.journal,
        clock=clock,
        telemetry=telemetry,
        new_run_id=new_run_id,
        check_health=check_health,
        check_day=check_day,
    )


def build_ports(  # noqa: PLR0913 - half of them are options
    settings: Settings,
    config: ExecutionConfig,
    log: EventLog,
    *,
    clock: Clock | None = None,
    clients: ClientFactory | None = None,
    on_request: Callable[[str], None] = lambda _path: None,
) -> Ports:
    """The adapters behind the ports, on these settings; also what commands look through and scripts execute with.

    Args:
        settings: where the tables and the broker are.
        config: how plans are executed.
        log: is told every event of the catalogue.
        clock: the machine's by default.
        clients: boto3's by default, on the environment's credentials.
        on_request: is told the path of every request to the broker.

    Raises:
        ConfigurationError: names the setting that is missing or unusable.
    """
    clock = clock or SystemClock()
    clients = clients or cache(aws_client)
    database = clients("dynamodb")
    credentials = credentials_source(settings, lambda: clients("secretsmanager"))
    brokers = AlpacaBrokers(settings, credentials, config, clock, on_request=on_request)

    def broker(account: str, deadline: Deadline) -> Broker:
        return CircuitBreakerBroker(brokers.broker(account, deadline), config.max_broker_failures)

    return Ports(
        brokers=broker,
        journal=DynamoJournal(database, settings.execution_table, clock),
        risk_store=DynamoRiskStore(database, settings.execution_table, clock),
        assets=DynamoAssetCache(
            database, settings.execution_table, clock, ttl=seconds(config.asset_cache_hours * 3600)
        ),
        clock=clock,
        log=log,
        publishers=_publishers(settings, clients),
    )


def aws_client(name: str) -> Any:
    """An AWS client with this program's time-outs, by the name of its service."""
    # DynamoDB's requests are made of our own rows; what S3 and Secrets Manager are asked for comes from outside.
    return boto3.client(name, config=client_config(validated=name != "dynamodb"))


def _publishers(settings: Settings, clients: ClientFactory) -> list[ResultPublisher]:
    """Where results are published: a client is made only for what is configured."""
    found: list[ResultPublisher] = []
    if settings.result_bus:
        found.append(EventBridgePublisher(settings.result_bus, clients("events")))
    if settings.result_topic:
        found.append(SnsPublisher(settings.result_topic, clients("sns")))
    return found


def health_checks(
    settings: Settings, clients: ClientFactory, ports: Ports, deadline: Deadline
) -> dict[str, Callable[[], str]]:
    """What a health request asks, by name."""

    def front_door() -> str:
        clients("dynamodb").get_item(TableName=settings.idempotency_table, Key={"id": {"S": "health"}})
        return f"{settings.idempotency_table} answers"

    def journal() -> str:
        ports.journal.result(settings.account, "health")
        return f"{settings.execution_table} answers"

    def plans() -> str:
        clients("s3").head_bucket(Bucket=settings.plan_bucket)
        return f"{settings.plan_bucket} may be listed"

    def results() -> str:
        clients("events").describe_event_bus(Name=settings.result_bus)
        return f"{settings.result_bus} is there"

    checks: dict[str, Callable[[], str]] = {
        "front door": front_door,
        "journal": journal,
        "account": lambda: health.check_account(ports.brokers(settings.account, deadline)),
        "clock": lambda: health.check_clock(ports.brokers(settings.account, deadline), ports.clock),
        "quotes": lambda: health.check_quotes(ports.brokers(settings.account, deadline)),
    }
    if settings.plan_bucket:
        checks["plans"] = plans
    if settings.result_bus:
        checks["results"] = results
    return checks
