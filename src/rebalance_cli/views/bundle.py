"""View of the bundle for a bug report."""

from __future__ import annotations

from collections import Counter

from rich.console import RenderableType

from rebalance_cli.formatting import counted
from rebalance_cli.outputs import Bundle
from rebalance_cli.views.tables import facts


def bundle_view(answer: Bundle) -> RenderableType:
    """Return the file, its content, and the account data that was replaced, by kind."""
    kinds = Counter(name.rpartition("-")[0] or name for name in answer.replaced)
    replaced = ", ".join(counted(count, kind.replace("-", " ")) for kind, count in sorted(kinds.items()))
    return facts(
        [
            ("Written", answer.path),
            ("Contains", ", ".join(answer.files)),
            ("Replaced", replaced or "nothing"),
            ("Kept", "symbols, quantities, dollars, times, plan ID, texts of halts"),
            ("Next", "Read the files, then attach the bundle to your report."),
        ]
    )
