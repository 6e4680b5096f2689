"""`python -m benchmarks`: every table from one run. `python -m benchmarks stt overhead` prints some of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from benchmarks import first_byte, load, overhead, stt
from benchmarks.served import serve

RUNNERS = ("faster_whisper", "kokoro", "piper")
NAMES = ("stt", "idle", "overhead", "first-byte", "load", "kill")


def main(names: Collection[str], options: stt.Options) -> int:
    """Run the named benchmarks; 1 if a call was lost."""
    if "overhead" in names:
        # Like with like: the raw engine trims and levels nothing. The whole of the default server comes further down.
        with serve({"OS_OFFLINE": "true", "TTS_TRIM_SILENCE": "false", "TTS_NORMALIZE_OUTPUT": "false"}) as plain:
            print("\nwhat the server adds to the raw engine")
            overhead.run(plain)
    if "stt" in names:
        print("\nspeech to text against its peers")
        stt.run(options)
    on_our_server = set(names) - {"stt"}
    return run_on_our_server(on_our_server) if on_our_server else 0


def run_on_our_server(names: Collection[str]) -> int:
    """Start one server and run the named benchmarks on it; 1 if a call was lost."""
    failed = 0
    with serve({"OS_OFFLINE": "true"}) as served:
        if "idle" in names:
            memory = served.memory_mb()
            print(f"\nidle, nothing loaded: ready in {served.ready_s:.1f} s, {sum(memory.values()):.0f} MB in all")
            print("  " + ", ".join(f"{name} {value:.0f} MB" for name, value in memory.items()))
        if "overhead" in names:
            print("\nwhat the server adds to the raw engine, with the sound trimmed and levelled as it is by default")
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


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"what to run: {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="stt: fewer rounds and levels")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="stt: a folder of audio with a transcripts.tsv, or texts beside it")
    parser.add_argument(
        "--long", type=float, nargs="?", const=60.0, default=0.0, metavar="MINUTES", help="stt: one long recording instead (60 minutes)"
    )
    parser.add_argument("--save", action="store_true", help="stt: write the tables into benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    sys.exit(main(given.names or NAMES, stt.Options(given.quick, given.corpus, given.long, given.save)))
