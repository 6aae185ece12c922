"""``python -m paper_broker``: run a simulated broker on this machine until SIGTERM or SIGINT."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from paper_broker.operator_buttons import OperatorButton
from paper_broker.scenario import default_world
from paper_broker.server import PaperBroker


def _read(path: Path) -> dict[str, Any]:
    scenario = json.loads(path.read_text())
    if not isinstance(scenario, dict):
        raise ValueError(f"The scenario in {path} is not a JSON object.")  # noqa: TRY004 - the file is wrong, not a type
    return scenario


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="paper_broker", description="A simulated broker with Alpaca's API.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default 0: any free port)")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="file to keep the state in; takes precedence over --scenario")
    parser.add_argument("--scenario", type=Path, help="JSON file with the initial scenario")
    parser.add_argument("--always-open", action="store_true", help="start with a market that never closes")
    parser.add_argument("--seed", type=int, help="seed for IDs, random fills and price drift")
    parser.add_argument(
        "--operator-button",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "COMMAND"),
        help="add a button to the page; COMMAND is a JSON list, run with on, off or state as its last argument",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; print one JSON line with the URL when ready.

    Returns:
        0 after a signal, 2 if the broker cannot start.
    """
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        scenario = default_world() if options.scenario is None else _read(options.scenario)
        if options.always_open:
            scenario["clock"] = scenario.get("clock", {}) | {"sessions": "always_open"}
        if options.seed is not None:
            scenario["seed"] = options.seed
        buttons = [OperatorButton.parse(*values) for values in options.operator_button]
        broker = PaperBroker(
            scenario, host=options.host, port=options.port, state=options.state, operator_buttons=buttons
        )
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
