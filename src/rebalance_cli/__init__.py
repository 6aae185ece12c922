"""The operator's commands; they need more than the library does."""

from importlib.util import find_spec

if find_spec("typer") is None:
    raise SystemExit("The commands are an extra of the package: pip install 'rebalance_executor[cli]'")
