"""Example output of every command. ``python -m rebalance_cli.docs.examples docs/examples`` runs them all and writes it.

The commands run in sequence in an empty folder, with the servers of this machine. Each file has the command line, and
what it printed on a terminal of 78 columns.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3

COLUMNS = 78
_MOST_LINES = 24
"""Lines shown of one output; the page of the commands is for looking up."""
_TIMEOUT = 180
_WEIGHTS = "symbol,target_weight\nMSFT,30%\nSPY,25%\n"
_ORDERS = "symbol,trade_amount\nQQQ,4000\n"
_MESSAGE = "MESSAGE"
_BURY = "put a dead letter"

STEPS: tuple[str, ...] = (
    "rebalance init --local",
    "rebalance local up",
    "rebalance local run events/health.json",
    "rebalance doctor",
    "rebalance plan from-weights weights.csv --strategy growth --output plan.json",
    "rebalance validate plan.json",
    "rebalance preview plan.json",
    "rebalance apply plan.json --yes",
    "rebalance status",
    "rebalance watch growth",
    "rebalance explain growth MSFT",
    "rebalance report growth",
    "rebalance publish growth",
    "rebalance reconcile growth",
    "rebalance costs",
    "rebalance calibrate",
    "rebalance serve --port 0",
    "rebalance plan from-csv orders.csv --strategy growth --plan-id second --output second.json",
    'rebalance halt --reason "prices look wrong" --by ana',
    "hidden apply second.json --yes",
    'rebalance resume --reason "checked" --by ana',
    "rebalance plan renew second --rest --output rest.json",
    'rebalance bind --reason "new keys" --by ana',
    "rebalance submit rest.json",
    _BURY,
    "rebalance dlq list",
    f"rebalance dlq show {_MESSAGE}",
    f"rebalance dlq replay {_MESSAGE}",
    _BURY,
    f"rebalance dlq discard {_MESSAGE} --yes",
    "rebalance local down",
    "rebalance local reset --yes",
)
"""Commands in the order in which they run; the output of a hidden one is not kept. ``growth`` is the ID of a plan."""


def read_examples(folder: Path) -> Mapping[str, str]:
    """Return full name of a command → its command line and output, as ``write_examples`` wrote them."""
    return {path.stem.replace("-", " ", 1): path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}


def write_examples(folder: Path, samples: Path) -> None:
    """Run every step, and write one file per command.

    Args:
        folder: receives the files.
        samples: the folder with the sample events.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="rebalance-examples-") as name:
        place = Path(name)
        (place / "events").symlink_to(samples.resolve())
        (place / "weights.csv").write_text(_WEIGHTS, encoding="utf-8")
        (place / "orders.csv").write_text(_ORDERS, encoding="utf-8")
        plan_id, message, servers = "growth", "", ""
        try:
            for step in STEPS:
                if step == _BURY:
                    message = _bury(servers, (place / "second.json").read_text(encoding="utf-8"))
                    continue
                words = shlex.split(step)
                typed = [words[0], *(plan_id if w == "growth" else message if w == _MESSAGE else w for w in words[1:])]
                if "--strategy" in typed:
                    typed = [*typed[: typed.index("--strategy") + 1], "growth", *typed[typed.index("--strategy") + 2 :]]
                output = _run(place, typed[1:])
                servers = output if words[1:3] == ["local", "up"] else servers
                if (place / "plan.json").exists():
                    plan_id = json.loads((place / "plan.json").read_text(encoding="utf-8"))["plan_id"]
                if words[0] != "hidden":
                    text = f"$ {shlex.join(typed)}\n{_shortened(output, place)}\n"
                    (folder / f"{_name(words)}.txt").write_text(text, encoding="utf-8")
        finally:
            _run(place, ["local", "down"])


def _run(place: Path, words: Sequence[str]) -> str:
    """Run one command, and return what it printed; ``serve`` is stopped as soon as it has printed its address."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "COLUMNS": str(COLUMNS), "TERM": "dumb"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])  # this checkout, in another folder too
    with subprocess.Popen(
        [sys.executable, "-m", "rebalance_cli.main", *words],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        if words[0] != "serve":
            return process.communicate(timeout=_TIMEOUT)[0]
        printed = ""
        while "http" not in printed and process.stdout is not None and (line := process.stdout.readline()):
            printed += line
        process.send_signal(signal.SIGINT)
        return printed + process.communicate(timeout=_TIMEOUT)[0]


def _bury(servers: str, body: str) -> str:
    """Put a plan into the dead-letter queue of these servers, and return the start of its message ID."""
    exports = dict(re.findall(r"^export (\w+)=(\S+)$", servers, re.MULTILINE))
    client = boto3.client(
        "sqs",
        endpoint_url=exports["AWS_ENDPOINT_URL"],
        region_name=exports["AWS_REGION"],
        aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
    )
    url = client.get_queue_url(QueueName="rebalance-plans-dead-letters.fifo")["QueueUrl"]
    message = {"MessageBody": body, "MessageGroupId": "default", "MessageDeduplicationId": os.urandom(8).hex()}
    sent = client.send_message(QueueUrl=url, **message)
    return str(sent["MessageId"])[:8]


def _name(words: Sequence[str]) -> str:
    """Return the file name of a step: the words of its command, without arguments."""
    return "-".join(words[1:3] if words[1] in ("plan", "local", "dlq") else words[1:2])


def _shortened(output: str, place: Path) -> str:
    text = output.replace(f"{place.resolve()}/", "")
    text = re.sub(r"\S*(?:/bin/rebalance|python3? -m rebalance_cli\.main)(?=\s)", "rebalance", text)
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    if len(lines) > _MOST_LINES:
        half = _MOST_LINES // 2
        lines = [*lines[:half], "…", *lines[-half:]]
    return "\n".join(lines)


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]), Path("events"))
