"""The operator's commands. They need packages that the deployed function does not."""

from importlib.util import find_spec

if find_spec("typer") is None:
    raise SystemExit("The rebalance command needs extra packages: pip install 'rebalance_executor[cli]'")
