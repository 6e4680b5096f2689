"""What commands write: tables and bars on a terminal, plain tab-separated lines in a pipe."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from open_speech import config
from open_speech.config import Settings


def settings(**options: str | None) -> Settings:
    """Read the settings, with command-line options before the environment; a variable with an old name is told about on stderr.

    Raises SettingsError.
    """
    given = {name: value for name, value in options.items() if value is not None}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", DeprecationWarning)
        loaded = config.load({**os.environ, **given})  # noqa: TID251 - the command line is where the environment is read
    for warning in told:
        note(str(warning.message))
    return loaded


def note(text: str) -> None:
    """Write one line that is not the result: to stderr."""
    click.echo(text, err=True)


def is_terminal() -> bool:
    """Tell whether a person is likely to read stdout."""
    return Console().is_terminal


def megabytes(size: int | None) -> str:
    """Write a size in bytes for people: in MB of a million bytes, as disks and downloads are sold; empty when 0 or unknown."""
    return "" if not size else f"{size / 1e6:,.1f} MB"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """Show rows: as a table with a heading on a terminal, else one line each with tabs between the cells and no heading.

    `styles` are the colours of the rows' first cells.
    """
    if not is_terminal():
        for row in rows:
            click.echo("\t".join(row))
        return
    shown = Table(*columns, box=None, header_style="bold", pad_edge=False, show_header=any(columns))
    for row, style in zip_longest(rows, styles, fillvalue=""):
        first, *rest = row
        shown.add_row(Text(first, style), *map(Text, rest))
    Console().print(shown)


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Show that something takes its time: a moving sign on a terminal, nothing in a pipe."""
    with Console(stderr=True).status(Text(text)):
        yield
