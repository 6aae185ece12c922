"""Each alarm has a runbook of one screen, and every command in it runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from rebalance_cli.exit_codes import Exit
from rebalance_cli.main import app
from rebalance_executor.adapters.notification_text import text
from rebalance_executor.domain.result import ExecutionResult
from tests.infrastructure.templates import ROOT
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, plan, sell

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
SECTIONS = ["See it", "What to do", "How to know it is over"]
ONE_SCREEN = 40
LONGEST_LINE = 145
MAX_DESCRIPTION = 1024
"""CloudWatch limits the description of an alarm to this length."""
FENCED = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(rebalance [^`]+)`")
QUEUES = ("PLAN", "EVENT", "SCHEDULE")


def commands(page: str) -> list[str]:
    """Return the ``rebalance`` commands of a page, in its code blocks and in its sentences."""
    blocks = [line for block in FENCED.findall(page) for line in block.splitlines() if line.startswith("rebalance ")]
    return [*blocks, *(command for command in INLINE.findall(FENCED.sub("", page)) if command not in blocks)]


def descriptions(resources: dict[str, Any]) -> dict[str, str]:
    """Return the description of each alarm, by the alarm's name."""
    alarms = {n: r["Properties"] for n, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    return {name.removesuffix("Alarm"): alarm["AlarmDescription"]["Fn::Sub"] for name, alarm in alarms.items()}


def test_every_alarm_links_to_its_runbook_and_every_runbook_belongs_to_an_alarm(resources: dict[str, Any]) -> None:
    described = descriptions(resources)

    assert sorted(described) == [path.stem for path in RUNBOOKS]
    for name, description in described.items():
        assert description.endswith(f" Runbook: ${{RunbookUrl}}/{name}.md")
        assert len(description) < MAX_DESCRIPTION - 200, "room for the address"


def test_default_address_is_the_folder_of_the_runbooks(template: dict[str, Any]) -> None:
    parameter = template["Parameters"]["RunbookUrl"]
    allowed = re.compile(parameter["AllowedPattern"])

    assert (ROOT / parameter["Default"]).is_dir()
    assert [bool(allowed.fullmatch(url)) for url in (parameter["Default"], "https://x.org/y", "https://x.org/y/")] == [
        *(True, True, False)
    ]


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_runbook_fits_one_screen_and_has_the_same_sections(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert lines[0] == f"# {path.stem}"
    assert len(lines) <= ONE_SCREEN
    assert [line for line in lines if len(line) > LONGEST_LINE] == []
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == SECTIONS
    assert lines[2], "the meaning comes first"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_runbook_names_existing_codes_and_pages_only(path: Path) -> None:
    page, reference = path.read_text(encoding="utf-8"), (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")

    codes = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", page)
    assert [code for code in codes if f"`{code}`" not in reference] == []
    targets = re.findall(r"\]\((?!https)([^)#]+)(?:#([^)]+))?\)", page)
    for target, anchor in targets:
        linked = (path.parent / target).read_text(encoding="utf-8")
        headings = [
            re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)", linked, re.M)
        ]
        assert not anchor or anchor in headings


# --- the commands run ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Yield a terminal after a plan of which one order was denied, with a message in each queue."""
    with a_world(positions={"AAA": "50"}, prices={"AAA": "100", "ZZZ": "100"}) as world:
        world.broker.change({"assets": [{"symbol": "ZZZ", "tradable": False}]})
        terminal = Terminal(world, tmp_path_factory.mktemp("desk"), queues(world) | {"REBALANCE_OPERATOR": "ada"})
        world.deliver(plan(sell("AAA", "1000", current_value="5000"), buy("ZZZ", "10")))
        yield terminal


def queues(world: HandlerWorld) -> dict[str, str]:
    """Create the queues; return their addresses by variable."""
    sqs = world.session.client("sqs")
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    names = [f"{name}_DEAD_LETTER_QUEUE_URL" for name in QUEUES] + ["FAILURE_QUEUE_URL"]
    urls = {name: sqs.create_queue(QueueName=name.lower())["QueueUrl"] for name in names[1:]}
    for name in ("PLAN_QUEUE_URL", names[0]):
        urls[name] = sqs.create_queue(QueueName=f"{name.lower()}.fifo", Attributes=fifo)["QueueUrl"]
    return urls


def bury(desk: Terminal, queue: str) -> str:
    """Put a plan into a dead-letter queue; return the ID of its message."""
    variable = {"plans": "PLAN_DEAD_LETTER_QUEUE_URL", "failures": "FAILURE_QUEUE_URL"}.get(
        queue, f"{queue.removesuffix('s').upper()}_DEAD_LETTER_QUEUE_URL"
    )
    body = json.dumps(plan(buy("AAA", "100"), plan_id="dead"))
    group = {"MessageGroupId": "default"} if queue == "plans" else {}
    sent = desk.world.session.client("sqs").send_message(QueueUrl=desk.variables[variable], MessageBody=body, **group)
    return str(sent["MessageId"])


def typed(desk: Terminal, command: str) -> list[str]:
    """Return the words of a command with values in place of PLAN, SYMBOL, MESSAGE and the files."""
    words = shlex.split(command)[1:]
    queue = words[words.index("--queue") + 1] if "--queue" in words else "plans"
    values: dict[str, Callable[[], str]] = {
        "PLAN": lambda: "plan-1",
        "SYMBOL": lambda: "ZZZ",
        "MESSAGE": lambda: bury(desk, queue),
    }
    values["plan.json"] = lambda: desk.file(plan(buy("AAA", "100"), plan_id="new"))
    values["rest.json"] = values["plan.json"] if words[0] == "submit" else lambda: str(desk.folder / "rest.json")
    values["today"] = lambda: "2026-01-26"
    return [values[word]() if word in values else word for word in words]


def exists(words: list[str]) -> bool:
    """Return whether the program has the command, whatever its arguments are."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            break
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


ALL_COMMANDS = sorted({command for path in RUNBOOKS for command in commands(path.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_every_command_of_the_runbooks_runs(desk: Terminal, command: str) -> None:
    words = typed(desk, command)
    assert exists(words)

    done = desk.type(*words, answers="y\n")

    problem = done.exception is not None and not isinstance(done.exception, SystemExit)
    assert not problem, done.exception
    assert done.exit_code in set(Exit), done.output
    assert done.exit_code != Exit.USAGE, done.output


def test_commands_of_a_notice_run(desk: Terminal) -> None:
    lost = desk.json("execution-result", "report", "plan-1", code=3) | {"status": "unresolved"}
    notice = text(ExecutionResult.model_validate(lost))
    lines = [line.removeprefix("Next").strip() for line in notice.splitlines() if line.startswith("Next")]

    assert [command.split()[1] for command in lines] == ["reconcile", "explain", "plan"]
    for command in lines:
        done = desk.type(*shlex.split(command)[1:], answers="n\n")
        assert done.exit_code != Exit.USAGE, done.output


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    page = "Type `rebalance status` first.\n\n```\nrebalance dlq list\naws x\n```\n"

    assert commands(page) == ["rebalance dlq list", "rebalance status"]
