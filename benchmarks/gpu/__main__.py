"""`python -m benchmarks.gpu`: the GPU check without the packages of the other benchmarks; and the process of one of its steps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.gpu import RESULTS, run
from benchmarks.gpu.report import SKIPPED, Outcome, Skipped
from benchmarks.gpu.steps import STEPS, Context


def step(name: str, device: str, *, quick: bool) -> Outcome:
    """Run one step in this process; an exception ends it, and its last line is what is reported."""
    try:
        return STEPS[name](Context(device, quick))
    except Skipped as missing:
        return Outcome(name, SKIPPED, str(missing))


def main() -> int:
    """Run the check, or one step for it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="fewer batches and repetitions")
    parser.add_argument("--out", type=Path, default=RESULTS, help="results file")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step is None:
        return run(given.device, given.out, quick=given.quick)
    print(step(given.step, given.device, quick=given.quick).written())
    return 0


if __name__ == "__main__":
    sys.exit(main())
