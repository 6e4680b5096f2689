"""`python -m benchmarks`: every table from one run. `python -m benchmarks overhead` prints one of them."""

from __future__ import annotations

import sys

from benchmarks import first_byte, load, overhead
from benchmarks.served import serve

RUNNERS = ("faster_whisper", "kokoro", "piper")
NAMES = ("idle", "overhead", "first-byte", "load", "kill")


def main(names: list[str]) -> int:
    """Start one server and run the named benchmarks on it; 1 if a call was lost."""
    failed = 0
    with serve({"OS_OFFLINE": "true"}) as served:
        if "idle" in names:
            memory = served.memory_mb()
            print(f"\nidle, nothing loaded: ready in {served.ready_s:.1f} s, {sum(memory.values()):.0f} MB in all")
            print("  " + ", ".join(f"{name} {value:.0f} MB" for name, value in memory.items()))
        if "overhead" in names:
            print("\nwhat the server adds to the raw engine")
            overhead.run(served)
        if "first-byte" in names:
            print("\nten sentences: first byte and whole answer")
            first_byte.run(served)
        if "load" in names:
            print(f"\n{load.CALLERS} callers, mixed, one minute")
            failed += len(load.run(served).failed)
        if "kill" in names:
            print(f"\n{load.CALLERS} callers, each runner killed in turn")
            failed += len([f for f in load.run(served, kill=RUNNERS).failed if f.startswith("transcribe")])
    return 1 if failed else 0


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(NAMES)
    if unknown := set(wanted) - set(NAMES):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    sys.exit(main(wanted))
