"""The mutation score by module, read from the output of ``mutmut run`` in ``mutants/``; ``make mutants`` runs both.

A mutant is caught if a test fails or times out. A mutant that no test reaches counts as not caught.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mutmut.stats import status_by_exit_code

_MUTANTS = Path("mutants")
_CAUGHT = ("killed", "timeout")


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


def main() -> None:
    """Print the table, or with ``--survivors`` the mutants that no test caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survivors", action="store_true", help="list the surviving mutants, for: mutmut show NAME")
    mutated = list(modules())
    if parser.parse_args().survivors:
        for module in mutated:
            for mutant in (mutant for mutant, status in module.statuses.items() if status not in _CAUGHT):
                print(f"{module.statuses[mutant]:<12}{mutant}")
        return
    every = Module("all", {mutant: status for module in mutated for mutant, status in module.statuses.items()})
    print("| module | mutants | caught | survived | untested | score |\n|---|---:|---:|---:|---:|---:|")
    for module in (*mutated, every):
        counts = module.counts
        untested = counts["no tests"]
        survived = len(module.statuses) - module.caught - untested
        figures = (module.name, len(module.statuses), module.caught, survived, untested, f"{module.score:.1f} %")
        print(f"| {' | '.join(map(str, figures))} |")


if __name__ == "__main__":
    main()
