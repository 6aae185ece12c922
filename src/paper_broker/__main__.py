"""``python -m paper_broker``: a paper broker on this machine until it is told to stop."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from paper_broker.operator_buttons import Lever
from paper_broker.scenario import default_world
from paper_broker.server import PaperBroker


def _read(path: Path) -> dict[str, Any]:
    scenario = json.loads(path.read_text())
    if not isinstance(scenario, dict):
        raise ValueError(f"The scenario in {path} is no JSON object.")  # noqa: TRY004 - the file is wrong, not a type
    return scenario


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; one JSON line on stdout tells the address."""
    parser = argparse.ArgumentParser(prog="paper_broker", description="A paper broker that speaks Alpaca's API.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--state", type=Path, help="file that keeps the state; it wins over the scenario")
    parser.add_argument("--scenario", type=Path, help="JSON file that describes the world to begin with")
    parser.add_argument("--seed", type=int, help="of ids, random fills and drifting prices")
    parser.add_argument(
        "--lever",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "COMMAND"),
        help="a switch on the page; the command, a JSON list of words, is run with on, off or state after it",
    )
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        scenario = default_world() if options.scenario is None else _read(options.scenario)
        if options.seed is not None:
            scenario["seed"] = options.seed
        levers = [Lever.parse(*words) for words in options.lever]
        broker = PaperBroker(scenario, host=options.host, port=options.port, state=options.state, levers=levers)
    except (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    with broker:
        sys.stdout.write(json.dumps({"event": "paper_broker.ready", "url": broker.url}) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
