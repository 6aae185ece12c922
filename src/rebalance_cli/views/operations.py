"""What the engineer on call reads. Pure: answers in, rich renderables out."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from rebalance_cli.outputs import DeadLetter, DeadLetters, Diagnosis, KillSwitchAnswer, Reconciliation
from rebalance_cli.views.result import counted, facts
from rebalance_cli.views.status import format_time, kill_switch_text

_GOOD, _BAD = Text("ok", "green"), Text("NO", "bold red")


def kill_switch_view(before: KillSwitchAnswer, after: KillSwitchAnswer, next_step: str) -> Group:
    """The kill switch after and before it was set."""
    return Group(
        facts(
            [
                ("Account", after.account),
                ("Was", kill_switch_text(before)),
                ("Is", kill_switch_text(after)),
                ("Next", next_step),
            ]
        )
    )


def diagnosis_view(told: Diagnosis) -> Group:
    """Every check, and beneath what is wrong how to mend it."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in told.checks:
        table.add_row(_GOOD if check.ok else _BAD, check.name, check.detail)
        if check.fix is not None:
            table.add_row("", "", Text(f"→ {check.fix}", "yellow"))
    failing = sum(not check.ok for check in told.checks)
    verdict = Text("Healthy", "bold green") if told.healthy else Text(f"{counted(failing, 'problem')}", "bold red")
    return Group(table, Text(), verdict)


def reconciliation_view(told: Reconciliation) -> Group:
    """The verdict, and every difference."""
    compared = f"{counted(told.compared, 'order')} compared"
    if told.agrees:
        return Group(Text.assemble(("Broker and journal agree", "bold green"), f": {compared}."))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for one in told.differences:
        table.add_row(Text(one.symbol, "bold"), one.problem)
    title = Text.assemble(("Broker and journal differ", "bold red"), f": {compared}.")
    return Group(
        title, table, Text(), facts([("Next", f"rebalance explain {told.plan_id} {told.differences[0].symbol}")])
    )


def dead_letters_view(told: DeadLetters) -> Group:
    """A line for each message."""
    if not told.messages:
        return Group(Text("No dead letters.", "green"))
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("Message", "Plan", "Sent (UTC)", "Deliveries"):
        table.add_column(name, justify="right" if name == "Deliveries" else "left")
    for letter in told.messages:
        plan = Text(letter.plan_id) if letter.plan_id is not None else Text(letter.problem or "no plan", "red")
        table.add_row(letter.message_id[:8], plan, format_time(letter.sent_at), str(letter.deliveries))
    return Group(table, Text(), facts([("Next", "rebalance dlq show MESSAGE, replay MESSAGE or discard MESSAGE")]))


def dead_letter_view(letter: DeadLetter) -> Group:
    """One message with its whole body."""
    rows = [("Message", letter.message_id), ("Plan", letter.plan_id or f"none: {letter.problem}")]
    rows += [("Sent", f"{format_time(letter.sent_at)} UTC"), ("Deliveries", str(letter.deliveries))]
    return Group(facts(rows), Text(), Text(letter.body))
