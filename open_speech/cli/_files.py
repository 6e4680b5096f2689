"""Files that commands write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
import soundfile


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when it is complete, so that failed synthesis leaves no partial file."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except soundfile.LibsndfileError as error:
        raise click.FileError(str(path), error.error_string) from error
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from error
    finally:
        part.unlink(missing_ok=True)
