"""Peers: other programs execute the same orders at the same simulated broker, each as a process with byte code.

The broker takes 40 ms per request and allows 200 per minute. The programs take turns; ours executes its first plan of a
day. Each is also killed when half of its orders are at the broker, and started again with the same command.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import built, start
from benchmarks.row import Row
from benchmarks.stage import HELD, LATENCY, Stage, stage

POINT = "peers"
SIZES = (8, 32)
_SLOW = [{"kind": "latency", "seconds": LATENCY, "count": None}]
_SCRIPTS = Path(__file__).parent / "contenders"
_TIMEOUT = 20
"""Seconds of an invocation of the handlers: a killed run keeps its lease, or its record, for about that time."""
_KILLED_ORDERS = 8
_STARTS = 5
"""Times at most that a killed program is started again: until the dead run's lease, or its record, expires."""
_PAUSE = 5
"""Seconds at least between these starts."""
OURS = "ours"
_INSTALLED = {"alpaca-trade-api": "alpaca-trade-api==3.2.0", "msts-trader": "msts-trader==0.47.1"}
"""Requirement of each peer that needs an environment of its own."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that executes plans; ``command`` without the file of the plan."""

    name: str
    command: Sequence[str]
    suffix: str = ".json"
    after: Sequence[str] = ()
    """Words after the file."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution took."""

    wall: float
    cpu: float
    requests: int


@dataclass(frozen=True, slots=True)
class Killed:
    """What a killed program left, after it was started again."""

    doubled: int
    missing: int
    starts: int
    seconds: float
    """From the first new start to the end of the last."""


def measure(rounds: int = 3) -> Iterator[Row]:
    """Run all programs that can be installed."""
    peers, failures = _peers()
    with tempfile.TemporaryDirectory() as name, stage([f"S{i}" for i in range(max(SIZES))], limited=True) as scene:
        folder = Path(name)
        for orders in SIZES:
            runs: dict[str, list[Run]] = {peer.name: [] for peer in peers}
            for _ in range(rounds):
                for peer in peers:
                    runs[peer.name].append(_run(scene, peer, orders, folder))
            yield from _rows(runs, orders)
        for peer in peers:
            yield _killed_row(peer.name, _kill_and_start_again(scene, peer, folder))
    for name, reason in failures.items():
        yield Row(POINT, name, None, "", note=f"not installed: {reason}")


def _rows(runs: dict[str, list[Run]], orders: int) -> Iterator[Row]:
    def median(name: str, figure: str) -> float:
        return float(statistics.median(getattr(run, figure) for run in runs[name]))

    for figure, what, unit in (
        ("wall", "process start to end", "s"),
        ("cpu", "processor time", "s"),
        ("requests", "broker requests", ""),
    ):
        for name in runs:
            if name != OURS:
                label = f"{orders} orders, {what}, {name}"
                yield Row(POINT, label, median(OURS, figure), unit, median(name, figure))


def _killed_row(name: str, killed: Killed) -> Row:
    note = f"{killed.doubled} twice, {killed.missing} missing; {killed.starts} new starts, {killed.seconds:.1f} s"
    what = f"killed at half of {_KILLED_ORDERS} orders, wrong orders, {name}"
    return Row(POINT, what, killed.doubled + killed.missing, "", goal=0 if name == OURS else None, note=note)


# --- the programs -----------------------------------------------------------------------------------------


def _peers() -> tuple[list[Peer], dict[str, str]]:
    """Return the programs, ours first, and the reason for each one that cannot be installed."""
    handler = [sys.executable, "-I", "-S", "-B", str(_SCRIPTS / "handler.py")]
    ours, naive = str(built.ours()), str(built.naive_compiled())
    script = [sys.executable, "-I", "-S", "-B", str(_SCRIPTS / "alpaca_py_script.py"), naive]
    peers = [
        Peer(OURS, [*handler, ours, start.OURS], after=[str(_TIMEOUT)]),
        Peer("naive handler", [*handler, naive, start.NAIVE], after=[str(_TIMEOUT)]),
        Peer("alpaca-py script", script),
    ]
    failures = {}
    for name, file, suffix in (
        ("alpaca-trade-api", "trade_api_script.py", ".json"),
        ("msts-trader", "msts_launcher.py", ".csv"),
    ):
        try:
            peers.append(Peer(name, [str(_installed(name)), "-B", str(_SCRIPTS / file)], suffix))
        except subprocess.CalledProcessError as error:
            failures[name] = (error.stderr or error.stdout).strip().splitlines()[-1][:120]
    return peers, failures


def _installed(name: str) -> Path:
    """Return the Python of an environment with this program; create it if it does not exist.

    Raises:
        subprocess.CalledProcessError: it cannot be installed.
    """
    folder = built.BUILD / "peers" / name
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", _INSTALLED[name]],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
        done.touch()
    return python


# --- one execution ----------------------------------------------------------------------------------------


def _run(scene: Stage, peer: Peer, orders: int, folder: Path) -> Run:
    command, environment = _prepare(scene, peer, orders, folder)
    started = time.perf_counter()
    process = _start(command, environment, folder / "output")
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    requests = scene.broker.request_count()
    wrong = _wrong_orders(scene, orders)
    if process.returncode or wrong != (0, 0):
        raise AssertionError(f"{peer.name} failed, {wrong}: {(folder / 'output').read_text()[-2000:]}")
    return Run(wall, used.ru_utime + used.ru_stime, requests)


def _kill_and_start_again(scene: Stage, peer: Peer, folder: Path) -> Killed:
    command, environment = _prepare(scene, peer, _KILLED_ORDERS, folder)
    process = _start(command, environment, folder / "output")
    while _submitted(scene) < _KILLED_ORDERS // 2 and process.poll() is None:
        time.sleep(LATENCY / 10)
    killed_at = time.monotonic()
    process.send_signal(signal.SIGKILL)
    process.wait()
    starts, started = 0, time.monotonic()
    while starts < _STARTS:
        starts += 1
        if _start(command, environment, folder / "output").wait() == 0:
            break
        time.sleep(max(_PAUSE, killed_at + _TIMEOUT + 1 - time.monotonic()))
    seconds = time.monotonic() - started
    doubled, missing = _wrong_orders(scene, _KILLED_ORDERS)
    return Killed(doubled, missing, starts, seconds)


def _prepare(scene: Stage, peer: Peer, orders: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Reset the broker, write the plan, and return the command and its variables."""
    scene.first_of_day(orders, faults=_SLOW)
    document = scene.plan(orders)
    file = folder / f"{document['plan_id']}{peer.suffix}"
    file.write_text(json.dumps(document) if peer.suffix == ".json" else _targets(scene, document), encoding="utf-8")
    config = {name: value for name, value in scene.config.items() if name != "lease_wait_seconds"}
    environment = start.as_in_lambda(built.ours(), scene.environment) | {
        "EXECUTION_CONFIG": json.dumps(config),
        "APCA_API_KEY_ID": "local",
        "APCA_API_SECRET_KEY": "local",
        "APCA_API_BASE_URL": scene.broker.url,
        "APCA_API_DATA_URL": scene.broker.url,
        "HOME": str(folder / document["plan_id"]),  # where msts-trader remembers its runs
        "NO_PROXY": "127.0.0.1",
    }
    return [*peer.command, str(file), *peer.after], environment


def _targets(scene: Stage, document: dict[str, Any]) -> str:
    """Return the plan as target weights of the whole account."""
    world = scene.world(len(document["items"]))
    held = {position["symbol"]: float(position["qty"]) * 100 for position in world["positions"]}
    equity = float(world["account"]["cash"]) + sum(held.values())
    targets = {item["symbol"]: held[item["symbol"]] + float(item["trade_amount"]) for item in document["items"]}
    return "ticker,weight\n" + "".join(f"{symbol},{value / equity:.15f}\n" for symbol, value in targets.items())


def _start(command: Sequence[str], environment: dict[str, str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as stream:
        return subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)


def _submitted(scene: Stage) -> int:
    return sum(request["method"] == "POST" for request in scene.broker.request_log())


def _wrong_orders(scene: Stage, orders: int) -> tuple[int, int]:
    """Return how many symbols were traded twice, and how many not at all. Each order is about one share."""
    held = scene.broker.positions()
    traded = [abs(float(held.get(symbol, 0)) - HELD) for symbol in scene.symbols[:orders]]
    return sum(shares > 1.5 for shares in traded), sum(shares < 0.5 for shares in traded)
