"""``rebalance serve``: a read-only page of the account and its plans, from the journal alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError
from rebalance_cli.live_server import LatestState, page_server
from rebalance_cli.options import CommandSession, account_command
from rebalance_cli.outputs import Served
from rebalance_cli.queries.live import LiveQuery
from rebalance_cli.queries.plans import parse_day
from rebalance_cli.views.tables import facts
from rebalance_executor.domain.errors import RebalanceError

DEFAULT_PORT = 8350


@account_command
def serve(
    session: CommandSession,
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = (
        DEFAULT_PORT
    ),
    day: Annotated[
        str | None, typer.Option("--day", help="Day in UTC, as in 2026-01-26 (default: always the present day).")
    ] = None,
) -> None:
    """Show an account and its plans of the day as a page on this machine, until Ctrl-C. Read-only.

    The page reads the journal every two seconds while it is open. It never asks the broker, and changes nothing.
    """
    from rebalance_cli.report import live_page  # imported late: the templates' package loads the plot library

    with session.context() as ctx:
        account = ctx.account_name(session.account)
        parse_day(day, ctx.now)
        state = LatestState(_reader(ctx, LiveQuery(ctx, account, day)))
        with ExitStack() as stack:
            try:
                url = stack.enter_context(page_server(live_page.page_files(), state, port))
            except OSError as error:
                text = f"Port {port} cannot be used: {error.strerror or error}."
                raise CliError(text, f"Another one: {ctx.command('serve', '--port', '0', account=account)}") from None
            answer = Served(account=account, url=url)
            session.answer(answer, facts([("Account", account), ("Page", url), ("Stop", "Ctrl-C")]))
            try:
                state.keep_reading()
            except KeyboardInterrupt:
                session.console.print("Stopped.")


def _reader(ctx: CliContext, query: LiveQuery) -> Callable[[], str]:
    """Return a function that reads the journal and returns the page's changing part, also after an error."""
    from rebalance_cli.report import live_page  # imported late, as above

    def read() -> str:
        try:
            return live_page.live_state(query.read(), ctx.command)
        except (RebalanceError, BotoCoreError, ClientError) as error:
            return live_page.error_state(str(error), ctx.now)

    return read
