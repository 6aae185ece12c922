"""Views for the engineer on call: kill switch, diagnosis, reconciliation, dead letters.

Pure: answers in, rich renderables out.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.formatting import NONE, counted, date_and_time, new_york_time, utc_time
from rebalance_cli.outputs import DeadLetter, DeadLetters, Diagnosis, KillSwitchAnswer, Publication, Reconciliation
from rebalance_cli.views.status import kill_switch_text
from rebalance_cli.views.tables import facts, first_fitting
from rebalance_executor.domain.risk_state import AccountBinding

ID_LENGTH = 8
"""Characters of a message ID that are printed; they identify the message."""
_LETTER_COLUMNS = (
    ("Message", "Plan", "Sent (UTC)", "New York", "Attempts"),
    ("Message", "Plan", "Attempts"),
    ("Message", "Plan"),
)
"""Columns of a list of dead letters: the widest list that fits is shown."""
_PASSED, _WARNING, _FAILED = Text("ok", "green"), Text("!", "bold yellow"), Text("NO", "bold red")


def kill_switch_view(before: KillSwitchAnswer, after: KillSwitchAnswer) -> Table:
    """Return the kill switch before and after it was set."""
    return facts([("Account", after.account), ("Before", kill_switch_text(before)), ("Now", kill_switch_text(after))])


def binding_view(account_number: str, before: AccountBinding | None, after: AccountBinding | None) -> Table:
    """Return the account name that a broker account belongs to, before and, if it is known, after a change."""
    rows: list[tuple[str, RenderableType]] = [("Broker", account_number), ("Before", _binding_text(before))]
    return facts([*rows, ("Now", _binding_text(after))] if after is not None else rows)


def _binding_text(binding: AccountBinding | None) -> Text:
    if binding is None:
        return Text("bound to no account", "dim")
    author = f"by {binding.by}: {binding.reason}" if binding.by is not None else "by the first run that used it"
    since = f", bound {date_and_time(binding.bound_at)} {author}"
    return Text.assemble((f"account {binding.account}", "bold"), (since, "default"))


def diagnosis_view(diagnosis: Diagnosis) -> Group:
    """Return each check, and below a failed one or a warning what to change."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in diagnosis.checks:
        mark = _FAILED if not check.ok else _WARNING if check.warning else _PASSED
        table.add_row(mark, check.name, check.detail)
        if check.fix is not None:
            table.add_row("", "", Text(f"→ {check.fix}", "yellow"))
    failed = counted(sum(not check.ok for check in diagnosis.checks), "problem")
    verdict = Text("Healthy", "bold green") if diagnosis.healthy else Text(failed, "bold red")
    warnings = sum(check.warning for check in diagnosis.checks)
    if warnings:
        verdict.append(f", {counted(warnings, 'warning')}", "bold yellow")
    return Group(table, Text(), verdict)


def reconciliation_view(reconciliation: Reconciliation) -> Group:
    """Return the verdict and each difference."""
    compared = f"{counted(reconciliation.compared, 'order')} compared"
    if reconciliation.agrees:
        return Group(Text.assemble(("Broker and journal agree", "bold green"), f": {compared}."))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for difference in reconciliation.differences:
        table.add_row(Text(difference.symbol, "bold"), difference.problem)
    title = Text.assemble(("Broker and journal differ", "bold red"), f": {compared}.")
    return Group(title, table, Text())


def publication_view(publication: Publication) -> Table:
    """Return each channel with what happened on it."""
    channels = [
        *((channel, Text("published now", "green")) for channel in publication.published),
        *((channel, Text("has it already", "green")) for channel in publication.earlier),
        *((channel, Text(f"failed: {reason}", "red")) for channel, reason in publication.failed.items()),
    ]
    return facts([("Plan", publication.plan_id), *((channel.capitalize(), text) for channel, text in channels)])


def dead_letters_view(letters: DeadLetters, width: int) -> Group:
    """Return one line per message, and below each the reason of its failure."""
    if not letters.messages:
        return Group(Text("No dead letters.", "green"))
    table = first_fitting((_letters_table(letters, columns) for columns in _LETTER_COLUMNS), width)
    reasons = [(letter.message_id[:ID_LENGTH], _reason_text(letter)) for letter in letters.messages]
    return Group(table, "", facts(reasons), "")


def _letters_table(letters: DeadLetters, columns: tuple[str, ...]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name == "Attempts" else "left", no_wrap=name != "Plan")
    for letter in letters.messages:
        cells = {
            "Message": Text(letter.message_id[:ID_LENGTH]),
            "Plan": Text(letter.plan_id) if letter.plan_id is not None else Text(NONE),
            "Sent (UTC)": Text(utc_time(letter.sent_at) if letter.sent_at is not None else NONE),
            "New York": Text(new_york_time(letter.sent_at) if letter.sent_at is not None else NONE),
            "Attempts": Text(str(letter.attempts) if letter.attempts is not None else NONE),
        }
        table.add_row(*(cells[name] for name in columns))
    return table


def _reason_text(letter: DeadLetter) -> Text:
    if letter.reason is None:
        return Text("reason unknown: the plan never started; see the function's log", "yellow")
    return Text(letter.reason, "red" if letter.problem is not None else "yellow")


def dead_letter_view(letter: DeadLetter) -> Group:
    """Return one message with its whole body."""
    rows: list[tuple[str, RenderableType]] = [
        ("Message", letter.message_id),
        ("Plan", letter.plan_id or "none that can be read here"),
        ("Reason", _reason_text(letter)),
        ("Sent", date_and_time(letter.sent_at)),
        ("Attempts", str(letter.attempts) if letter.attempts is not None else "unknown"),
    ]
    return Group(facts(rows), Text(), Text(letter.body), Text())
