"""Open Speech: one server for speech, many doors, one engine."""

import os

__version__ = "0.2.0"

# numpy's OpenBLAS shares out matrices of any size, and its threads then spin for a tenth of a second: half of what a short clip cost in
# all. Now they sleep at once (2 to the 4th, cycles). Read when numpy is first imported; whoever sets it himself keeps what he set.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # noqa: TID251 - said to a library, not read
