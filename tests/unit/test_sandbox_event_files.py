"""Event files as commands read them, and the environment of the function's process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.triggers import PlanDocument, PlanPointer, decode
from rebalance_sandbox.environment import execution_config, function_environment, server_variables
from rebalance_sandbox.errors import SandboxError
from rebalance_sandbox.event_files import document_for, read_document, read_event, read_json, with_documents

PLAN: dict[str, Any] = {
    "plan_id": "plan-1",
    "correlation_id": "c",
    "causation_id": "c",
    "timestamp": "2026-01-26T15:00:00Z",
    "total_portfolio_value": "1000",
    "total_trade_value": "100",
    "items": [
        {
            "symbol": "AAPL",
            "action": "BUY",
            "trade_amount": "100",
            "current_weight": "0",
            "target_weight": "0.1",
            "weight_diff": "0.1",
            "target_value": "100",
            "current_value": "0",
            "priority": 1,
        }
    ],
}
SAMPLES = sorted(
    path for path in Path(__file__).parents[2].joinpath("events").glob("*.json") if path.stem not in ("env", "world")
)
POINTER = {"plan_s3": {"bucket": "plans", "key": "2026/plan.json"}}


def written(folder: Path, content: object, name: str = "event.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def record(message_id: str, body: object) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"messageId": message_id, "body": text, "attributes": {}, "eventSource": "aws:sqs"}


@pytest.mark.parametrize(
    "event",
    [PLAN, {"rebalance_plan": PLAN}, {"source": "planner", "detail-type": "RebalancePlanned", "detail": PLAN}],
    ids=["direct", "nested", "eventbridge"],
)
def test_inline_plan_is_read_from_every_envelope(tmp_path: Path, event: dict[str, Any]) -> None:
    assert [plan.plan_id for plan in read_event(written(tmp_path, event)).plans] == ["plan-1"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_plans_of_every_sample_event_are_known_in_advance(path: Path) -> None:
    event_file = read_event(path)

    documents = [document_for(pointer, path.parent.rglob("*.json")) for pointer in event_file.pointers]
    assert event_file.plans or documents or event_file.is_health
    assert None not in documents


def test_messages_of_a_queue_event_are_read_one_by_one(tmp_path: Path) -> None:
    records = [record("m-1", PLAN), record("m-2", "{"), record("m-3", PLAN), record("m-4", POINTER)]

    event_file = read_event(written(tmp_path, {"Records": records}))

    assert [plan.plan_id for plan in event_file.plans] == ["plan-1"]
    assert event_file.pointers == (PlanPointer("plans", "2026/plan.json", None, "m-4"),)
    assert event_file.messages is not None
    assert [message.problem is None for message in event_file.messages] == [True, False, True, True]
    assert "is not JSON" in str(event_file.messages[1].problem)


def test_message_with_a_pointer_gets_the_plan_it_refers_to(tmp_path: Path) -> None:
    records = [record("m-1", POINTER), record("m-2", PLAN | {"plan_id": "plan-2"})]
    event = read_event(written(tmp_path, {"Records": records}))
    plan = RebalancePlan.parse(PLAN)

    event_file = with_documents(event, {PlanPointer("plans", "2026/plan.json", None, "m-1"): plan})

    assert [message.plan and message.plan.plan_id for message in event_file.messages or ()] == ["plan-1", "plan-2"]
    assert {plan.plan_id for plan in event_file.plans} == {"plan-1", "plan-2"}


def test_invalid_events_have_no_plans_and_raise_no_error(tmp_path: Path) -> None:
    events: list[object] = [{"Records": []}, {"items": []}, 7, {"plan_s3": {}}]
    for event in events:
        assert read_event(written(tmp_path, event)).plans == ()


def test_health_request_is_recognized(tmp_path: Path) -> None:
    assert read_event(written(tmp_path, {"health": True})).is_health


def test_missing_file_and_invalid_json_raise_a_sandbox_error(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="does not exist"):
        read_event(tmp_path / "none.json")
    with pytest.raises(SandboxError, match="is not JSON"):
        read_event(written(tmp_path, "{"))


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_file_is_read_in_every_encoding_that_a_document_in_s3_may_have(tmp_path: Path, encoding: str) -> None:
    content = json.dumps(PLAN | {"strategy_id": "größe"}, ensure_ascii=False).encode(encoding)
    path = tmp_path / "plan.json"
    path.write_bytes(content)

    (plan,) = read_event(path).plans
    document, in_s3 = read_document(path), decode(content)

    assert plan.strategy_id == "größe"
    assert document == in_s3 == PlanDocument(read_json(path))
    assert document_for(PlanPointer("plans", "plan.json", None), [path]) == path


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a": 1, "a": 2}', "a: appears more than once"),
        (b'{"a": 1e400}', "a: is 1e400"),
        (b"\xff\xff", "is not text in UTF-8"),
    ],
)
def test_file_that_a_queue_would_not_accept_is_not_accepted(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    for function in (read_event, read_json):
        with pytest.raises(SandboxError, match=problem):
            function(path)


def test_pointer_gets_the_file_with_its_name_or_any_plan(tmp_path: Path) -> None:
    other = written(tmp_path, PLAN, "a.json")
    written(tmp_path, POINTER, "b.json")
    pointer = PlanPointer("plans", "2026/plan.json", None)

    assert document_for(pointer, tmp_path.glob("*.json")) == other
    named = written(tmp_path, PLAN, "plan.json")
    assert document_for(pointer, tmp_path.glob("*.json")) == named
    assert document_for(pointer, [tmp_path / "b.json"]) is None


def test_credentials_and_endpoints_of_a_real_account_do_not_reach_the_function() -> None:
    inherited = {
        "PATH": "/bin",
        "AWS_PROFILE": "live",
        "AWS_SESSION_TOKEN": "t",
        "AWS_ENDPOINT_URL_DYNAMODB": "https://elsewhere.example",
        "AWS_ACCESS_KEY_ID": "real",
        "ALPACA_SECRET_NAME": "live",
        "ALPACA_API_KEY": "real",
        "ALPACA_PAPER": "false",
        "LIVE_TRADING": "yes",
    }

    servers = server_variables("http://127.0.0.1:1", "http://127.0.0.1:2")

    environment = function_environment(inherited, servers)

    assert "real" not in environment.values()
    assert environment["ALPACA_PAPER"] == "true"
    assert environment["PATH"] == "/bin"
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_DYNAMODB", "ALPACA_SECRET_NAME", "LIVE_TRADING"):
        assert name not in environment


@pytest.mark.parametrize(
    ("configured", "age"), [("", 52_704_000), ("{}", 52_704_000), ('{"max_plan_age_minutes": 5}', 5)]
)
def test_plans_of_any_age_are_accepted_unless_the_user_sets_an_age(configured: str, age: int) -> None:
    assert json.loads(execution_config(configured))["max_plan_age_minutes"] == age


def test_invalid_configuration_is_passed_to_the_function_unchanged() -> None:
    assert execution_config("{") == "{"
    assert execution_config("[1]") == "[1]"
