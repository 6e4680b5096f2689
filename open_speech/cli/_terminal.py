"""Output of commands: tables and progress indicators on a terminal, plain tab-separated lines in a pipe."""

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
    """Load the settings; command-line options override the environment, and variables with an old name are reported on stderr.

    Raises SettingsError.
    """
    given = {name: value for name, value in options.items() if value is not None}
    with warnings.catch_warnings(record=True) as deprecations:
        warnings.simplefilter("always", DeprecationWarning)
        loaded = config.load({**os.environ, **given})  # noqa: TID251 - the command line reads the environment
    for warning in deprecations:
        note(str(warning.message))
    return loaded


def note(text: str) -> None:
    """Write a line that is not part of the result, to stderr."""
    click.echo(text, err=True)


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return Console().is_terminal


def megabytes(size: int | None) -> str:
    """Format a size in bytes in MB (1 MB is a million bytes, as for disks); empty if it is 0 or unknown."""
    return "" if not size else f"{size / 1e6:,.1f} MB"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """Print rows: on a terminal as a table with a heading, else without a heading, one line per row with tabs between the cells.

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
    """Show that a task is in progress until the block ends: a spinner on a terminal, nothing in a pipe."""
    with Console(stderr=True).status(Text(text)):
        yield
