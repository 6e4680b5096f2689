"""Benchmarks: `make bench` prints every table from one run. Ratios and CPU seconds, not single wall times: machines are shared."""
