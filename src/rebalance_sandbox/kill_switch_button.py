"""The kill switch of the sandbox as a button on the simulated broker's page.

The page's server runs ``python -m rebalance_sandbox.kill_switch_button DATA_DIR`` followed by ``on``, ``off`` or
``state``. The program prints the state afterwards as one line of JSON. On means HALTED.
"""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path

from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.domain.risk_state import NEVER_SET, KillSwitchRecord, TradingState
from rebalance_executor.execution.kill_switch import set_by_operator
from rebalance_executor.settings import Settings
from rebalance_sandbox.aws import LocalAwsClient
from rebalance_sandbox.running import running_servers

_STATES = {"on": TradingState.HALTED, "off": TradingState.ACTIVE}
_REASON = "pressed on the simulated broker's page"


def press(data_dir: Path, action: str) -> dict[str, object]:
    """Set the kill switch (``on``, ``off``) or only read it (``state``); return its state afterwards.

    Raises:
        LookupError: the local AWS does not run.
        JournalUnavailable: the local AWS does not answer.
    """
    account, clock = str(Settings.model_fields["account"].default), SystemClock()
    with LocalAwsClient(running_servers(data_dir)["aws"].url) as aws:
        aws.provision()
        store = aws.risk_store(clock)
        if action in _STATES:
            set_by_operator(store, account, KillSwitchRecord(_STATES[action], getpass.getuser(), _REASON, clock.now()))
        switch = store.kill_switch(account)
    details = "" if switch == NEVER_SET else f" by {switch.by}: {switch.reason}"
    return {"on": switch.state is not TradingState.ACTIVE, "text": f"{switch.state.value}{details}"}


if __name__ == "__main__":
    print(json.dumps(press(Path(sys.argv[1]), sys.argv[2])))
