"""Benchmarks: `make bench` prints every table from one run. Results are ratios and CPU seconds, because machines are shared."""

import os

import open_speech  # noqa: F401 - sets the variable that is removed below, so that it is not set again

# open_speech sets this for numpy's threads in its own processes; the libraries and servers compared run with their defaults.
os.environ.pop("OPENBLAS_THREAD_TIMEOUT", None)
