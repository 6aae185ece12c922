"""The mutation score by module, read from the output of ``mutmut run`` in ``mutants/``; ``make mutants`` runs both.

A mutant is caught if a test fails or times out. A mutant that no test reaches counts as not caught.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.stats import status_by_exit_code

from benchmarks.sources import Columns, machine, write_source

_MUTANTS = Path("mutants")
_CAUGHT = ("killed", "timeout")
_COLUMNS = Columns(("module", "mutants", "caught", "survived", "untested", "score"), "lrrrrr")
_CODE = ("src/rebalance_executor/domain", "src/rebalance_executor/execution")


@dataclass(frozen=True, slots=True)
class Module:
    """A mutated module with the status of each mutant."""

    name: str
    statuses: dict[str, str]
    """Status by mutant."""

    @property
    def counts(self) -> Counter[str]:
        """Number of mutants by status."""
        return Counter(self.statuses.values())

    @property
    def caught(self) -> int:
        """Number of mutants that a test caught."""
        return sum(self.counts[status] for status in _CAUGHT)

    @property
    def score(self) -> float:
        """Percentage of caught mutants."""
        return 100 * self.caught / len(self.statuses)


def modules(folder: Path = _MUTANTS) -> Iterator[Module]:
    """Read the mutated modules, ordered by path."""
    for meta in sorted(folder.glob("src/**/*.py.meta")):
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            name = "/".join(meta.relative_to(folder).parts[2:]).removesuffix(".meta")
            yield Module(name, {mutant: status_by_exit_code[code] for mutant, code in codes.items()})


def table(mutated: Sequence[Module]) -> list[tuple[str, ...]]:
    """Return a row per module, and one of all."""
    every = Module("all", {mutant: status for module in mutated for mutant, status in module.statuses.items()})
    rows = []
    for module in (*mutated, every):
        untested = module.counts["no tests"]
        survived = len(module.statuses) - module.caught - untested
        counts = (len(module.statuses), module.caught, survived, untested)
        rows.append((module.name, *map(str, counts), f"{module.score:.1f} %"))
    return rows


def main() -> None:
    """Print the rows, or with ``--survivors`` the mutants that no test caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survivors", action="store_true", help="list the surviving mutants, for: mutmut show NAME")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the rows as a source of scripts/figures")
    arguments = parser.parse_args()
    mutated = list(modules())
    if arguments.survivors:
        for module in mutated:
            for mutant in (mutant for mutant, status in module.statuses.items() if status not in _CAUGHT):
                print(f"{module.statuses[mutant]:<12}{mutant}")
        return
    rows = table(mutated)
    for row in rows:
        print("  ".join(row))
    if arguments.write is not None:
        origin: dict[str, str | Sequence[str]] = {"machine": machine(["mutmut"]), "command": "make mutants"}
        write_source(arguments.write, "mutants", _COLUMNS, rows, **origin, code=_CODE)


if __name__ == "__main__":
    main()
