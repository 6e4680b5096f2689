"""`open-speech settings`: every setting and its value."""

from __future__ import annotations

import click

from open_speech.cli import _terminal as terminal
from open_speech.config import Settings, SettingsError

HIDDEN = "(hidden)"


@click.command(name="settings")
def command() -> None:
    """List every setting with its current value.

    A wrong setting is named after the list, which shows the defaults then.
    """
    wrong: SettingsError | None = None
    try:
        settings = terminal.settings()
    except SettingsError as error:
        settings, wrong = Settings(), error
    rows = [(name.upper(), _shown(settings, name), field.description or "") for name, field in Settings.model_fields.items()]
    terminal.table(("Setting", "Value", "Description"), rows)
    if wrong is not None:
        raise wrong


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if value and not Settings.model_fields[name].repr:
        return HIDDEN
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(value)
        case None:
            return ""
        case _:
            return str(value)
