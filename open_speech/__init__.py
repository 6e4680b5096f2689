"""Open Speech: one speech server with many APIs and one engine."""

import os

__version__ = "0.2.0"

# numpy's OpenBLAS splits matrices of any size between threads, which then spin for a tenth of a second: half of the total cost of a short
# clip. With this setting they sleep at once (2 to the 4th, cycles). It is read when numpy is first imported; a value set by the user wins.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # noqa: TID251 - set for a library, not read
