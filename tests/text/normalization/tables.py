"""The tables of what is written and what is said, one file for each kind, in tests/data/normalization."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parents[2] / "data" / "normalization"


def rows(language: str) -> list[tuple[str, str, str]]:
    """Return (kind, written, said) of every row of a language."""
    found = []
    for path in sorted((DATA / language).glob("*.tsv")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            written, tab, said = line.partition("\t")
            assert tab and written and said, f"{path.name}:{number} is not `written<TAB>said`"
            found.append((path.stem, written, said))
    return found
