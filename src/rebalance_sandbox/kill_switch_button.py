"""The kill switch of the local world as a lever of the paper broker's page.

The page's server runs ``python -m rebalance_sandbox.kill_switch_button HOME`` with ``on``, ``off`` or ``state`` after it; one
line of JSON on stdout tells how the switch stands then. On is HALTED.
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
from rebalance_sandbox.servers import Servers

_STATES = {"on": TradingState.HALTED, "off": TradingState.ACTIVE}
_REASON = "pressed on the paper broker's page"


def pull(home: Path, word: str) -> dict[str, object]:
    """Set the switch, or with ``state`` only look; how it stands then.

    Raises:
        LookupError: the local AWS is not up.
        JournalUnavailable: it does not answer.
    """
    account, clock = str(Settings.model_fields["account"].default), SystemClock()
    with LocalAwsClient(Servers.of(home).running()["aws"].url) as cloud:
        cloud.provision()
        book = cloud.book(clock)
        if word in _STATES:
            set_by_operator(book, account, KillSwitchRecord(_STATES[word], getpass.getuser(), _REASON, clock.now()))
        switch = book.kill_switch(account)
    by = "" if switch == NEVER_SET else f" by {switch.by}: {switch.reason}"
    return {"on": switch.state is not TradingState.ACTIVE, "text": f"{switch.state.value}{by}"}


if __name__ == "__main__":
    print(json.dumps(pull(Path(sys.argv[1]), sys.argv[2])))
