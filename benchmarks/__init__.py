"""Benchmarks: `make bench` prints every table from one run. Ratios and CPU seconds, not single wall times: machines are shared."""

import os

import open_speech  # noqa: F401 - sets what is taken back below, so that it is not set again

# What our package tells numpy's threads is for our own processes; the libraries and servers beside them run as they come.
os.environ.pop("OPENBLAS_THREAD_TIMEOUT", None)
