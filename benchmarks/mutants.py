"""The mutation score by module, from what ``mutmut run`` left in ``mutants/``; ``make mutants`` runs both.

A mutant counts as caught if a test failed or never came to an end. One that no test reaches counts against the score.
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
    """A mutated module: how each of its mutants ended."""

    name: str
    ends: dict[str, str]
    """By mutant."""

    @property
    def counts(self) -> Counter[str]:
        """By end."""
        return Counter(self.ends.values())

    @property
    def caught(self) -> int:
        """Mutants that a test noticed."""
        return sum(self.counts[end] for end in _CAUGHT)

    @property
    def score(self) -> float:
        """Of all mutants, in percent."""
        return 100 * self.caught / len(self.ends)


def modules(folder: Path = _MUTANTS) -> Iterator[Module]:
    """What was mutated, in the order of its path."""
    for meta in sorted(folder.glob("src/**/*.py.meta")):
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            name = "/".join(meta.relative_to(folder).parts[2:]).removesuffix(".meta")
            yield Module(name, {mutant: status_by_exit_code[code] for mutant, code in codes.items()})


def main() -> None:
    """Print the table; with ``--survivors`` the mutants that nobody noticed instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survivors", action="store_true", help="list what survived, for: mutmut show NAME")
    found = list(modules())
    if parser.parse_args().survivors:
        for module in found:
            for mutant in (mutant for mutant, end in module.ends.items() if end not in _CAUGHT):
                print(f"{module.ends[mutant]:<12}{mutant}")
        return
    every = Module("all", {mutant: end for module in found for mutant, end in module.ends.items()})
    print("| module | mutants | caught | survived | untested | score |\n|---|---:|---:|---:|---:|---:|")
    for module in (*found, every):
        counts = module.counts
        untested = counts["no tests"]
        survived = len(module.ends) - module.caught - untested
        print(
            f"| {module.name} | {len(module.ends)} | {module.caught} | {survived} | {untested} | {module.score:.1f} % |"
        )


if __name__ == "__main__":
    main()
