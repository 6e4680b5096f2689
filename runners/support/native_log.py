"""What native code writes to the standard error output, for our log."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST_BYTES = 65_536
_STDERR = 2
_one_at_a_time = threading.Lock()


@contextmanager
def captured_stderr(lines: list[str], *, settle_s: float = 0.0) -> Iterator[None]:
    """Append to `lines` what this process writes to its standard error output within the block, up to MOST_BYTES.

    It is not written out. `settle_s` seconds are waited at the end, for code that writes from a thread of its own. Other threads of this
    process write there, too: use it for short work only.
    """
    with _one_at_a_time, tempfile.TemporaryFile() as file:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # it is closed
            yield
            return
        os.dup2(file.fileno(), _STDERR)
        try:
            yield
        finally:
            time.sleep(settle_s)
            with suppress(OSError):
                os.dup2(kept, _STDERR)
            os.close(kept)
            file.seek(0)
            lines += file.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
