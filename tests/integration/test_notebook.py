"""The notebook: its code cells run in order, without a kernel, on the simulated broker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rebalance_sandbox.servers import Servers
from tests.support.processes import clean_environment

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "from_prices_to_report.ipynb"
_RUN_CELLS = """
import json, sys
cells = [c for c in json.load(open(sys.argv[1], encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
names = {"__name__": "__main__"}
for cell in cells:
    exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
"""


def code_cells() -> list[dict[str, Any]]:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in document["cells"] if cell["cell_type"] == "code"]


def test_notebook_goes_from_prices_to_the_report_of_an_executed_plan(tmp_path: Path) -> None:
    environment = clean_environment(PYTHONPATH=str(ROOT / "src"))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RUN_CELLS, str(NOTEBOOK)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        Servers.of(tmp_path / ".local").stop()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Status    SUCCESS" in done.stdout
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["strategy_id"] == "inverse-volatility"
    assert sum(float(item["target_weight"]) for item in plan["items"]) <= 0.95
    assert plan["plan_id"] in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_notebook_has_no_outputs() -> None:
    assert [(cell["outputs"], cell["execution_count"]) for cell in code_cells()] == [([], None)] * len(code_cells())
