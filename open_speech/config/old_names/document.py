"""The table of old names for docs/settings.md."""

from __future__ import annotations

from open_speech.config.old_names.rows import TABLE
from open_speech.config.old_names.translation import LABELS
from open_speech.config.old_names.values import OldName, System


def table() -> str:
    """Return the names of other servers as a Markdown table. Names of one server with the same answer share a row."""
    groups: dict[tuple[tuple[System, ...], str], list[str]] = {}
    for row in TABLE:
        mark = r"\*" if row.shared else ""
        groups.setdefault((row.systems, _answer(row)), []).append(f"`{row.name}`{mark}")
    rows = ["| Name | Server | Here |", "|---|---|---|"]
    for (systems, answer), names in groups.items():
        servers = "all" if len(systems) == len(System) else ", ".join(LABELS[system] for system in systems)
        rows.append(f"| {', '.join(names)} | {servers} | {answer} |")
    return "\n".join(rows)


def _answer(row: OldName) -> str:
    if not row.setting:
        return "The same name" if row.silent else row.note
    return f"`{row.setting}`" + (", converted" if row.convert else "")
