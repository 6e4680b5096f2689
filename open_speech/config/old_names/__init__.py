"""Environment variables of the servers that this one replaces: one table, read at the start and by `open-speech migrate`."""

from open_speech.config.old_names.document import table
from open_speech.config.old_names.rows import BY_NAME, TABLE, VALUES
from open_speech.config.old_names.translation import LABELS, Outcome, Translation, old_values, outcome, rows_for, systems_of, translate
from open_speech.config.old_names.values import AT_START, OldName, System

__all__ = [
    "AT_START", "BY_NAME", "LABELS", "TABLE", "VALUES", "OldName", "Outcome", "System", "Translation", "old_values", "outcome", "rows_for",
    "systems_of", "table", "translate",
]  # fmt: skip
