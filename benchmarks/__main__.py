"""`python -m benchmarks`: every table from one run. `python -m benchmarks stt overhead` prints some of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from benchmarks import (
    batching,
    conversations,
    decoding,
    dialogue,
    early_answers,
    first_byte,
    first_sound,
    gpu,
    growth,
    kokoro_g2p,
    llm,
    load,
    long_file,
    overhead,
    overload,
    realtime,
    recognizers,
    replicas,
    speakers,
    start,
    stt,
    tts,
    tts_sessions,
    tts_speeds,
    tts_voices,
    wer,
)
from benchmarks.capacity import command as capacity
from benchmarks.fuzz import storm
from benchmarks.served import MEASURED, serve

RUNNERS = ("faster_whisper", "kokoro", "piper")
NAMES = ("stt", "tts", "idle", "overhead", "first-byte", "film", "realtime", "load", "overload", "kill")
MORE = (
    "llm",
    "wer",
    "recognizers",
    "tts-sessions",
    "tts-speeds",
    "voices",
    "kokoro-g2p",
    "fuzz",
    "growth",
    "decode",
    "batching",
    "conversations",
    "early-answers",
    "first-sound",
    "dialogue",
    "speakers",
    "gpu",
    "start",
    "replicas",
)
"""Benchmarks that run only when named: each answers one question, and says little about the server's speed."""
ALONE = {"stt", "tts", *MORE}
"""Benchmarks that start their own servers."""


def main(names: Collection[str], options: stt.Options, minutes: float, only: str = "") -> int:
    """Run the named benchmarks; return 1 if a call was lost, else 0."""
    if "overhead" in names:
        # For a fair comparison: the raw engine neither trims nor normalizes. The default server is measured further down.
        with serve({"OS_OFFLINE": "true", "TTS_TRIM_SILENCE": "false", "TTS_NORMALIZE_OUTPUT": "false"}) as plain:
            print("\nwhat the server adds to the raw engine")
            overhead.run(plain)
    if "stt" in names:
        print("\nspeech to text against its peers")
        stt.run(options)
    if "tts" in names:
        print("\ntext to speech against its peers")
        tts.run(quick=options.quick, save=options.save)
    small: dict[str, tuple[str, Callable[[], object]]] = {
        "tts-sessions": ("session options of the speech engines", lambda: tts_sessions.run(quick=options.quick)),
        "tts-speeds": ("speech at every speed, transcribed again", tts_speeds.main),
        "batching": ("batches by our queue and by BentoML", lambda: batching.run(quick=options.quick)),
        "llm": ("language model runner against llama.cpp's server", lambda: llm.run(quick=options.quick)),
        "first-sound": ("first sound of a spoken answer, after its first sentence", lambda: first_sound.run(quick=options.quick)),
        "start": ("start of the server, idle memory, cheap routes", lambda: start.run(quick=options.quick)),
        "replicas": ("two replicas of a runner against one", lambda: replicas.run(quick=options.quick)),
        "decode": ("decoding in a sandboxed process", decoding.run),
    }
    for name in [name for name in small if name in names]:
        print(f"\n{small[name][0]}")
        small[name][1]()
    judged: dict[str, tuple[str, Callable[[], int]]] = {
        "wer": (
            "pauses, noise and hesitations against the library",
            lambda: wer.run(options.corpora, quick=options.quick, fresh=options.fresh, save=options.save),
        ),
        "recognizers": (
            "every recognizer on this machine", lambda: recognizers.run(options.corpora, quick=options.quick, save=options.save)
        ),
        "voices": ("every voice, transcribed again", tts_voices.run),
        "kokoro-g2p": (
            "Kokoro's English by espeak-ng and by hibari, transcribed again", lambda: kokoro_g2p.run(only=only, quick=options.quick)
        ),
        "fuzz": ("hostile input at every API", lambda: storm.run(minutes)),
        "gpu": ("every GPU path on this machine", lambda: gpu.run(quick=options.quick)),
        "speakers": ("speaker labels: live against whole recordings", speakers.run),
        "growth": ("large request bodies: memory, and the latency of a probe", growth.run),
        "dialogue": (
            "turn-taking: cut-offs, delays, interruptions",
            lambda: dialogue.run(options.corpora, only=only, quick=options.quick),
        ),
        "conversations": ("spoken conversations with the local language model", lambda: conversations.run(minutes=minutes)),
        "early-answers": ("spoken turns, with and without early answers", early_answers.run),
    }  # fmt: skip
    failed = 0
    for name in [name for name in judged if name in names]:
        print(f"\n{judged[name][0]}")
        failed = max(failed, min(1, judged[name][1]()))
    on_our_server = set(names) - ALONE
    return max(failed, run_on_our_server(on_our_server, minutes) if on_our_server else 0)


def run_on_our_server(names: Collection[str], minutes: float) -> int:
    """Start one server and run the named benchmarks on it; return 1 if a call was lost, else 0."""
    failed = 0
    with serve({"OS_OFFLINE": "true"} | MEASURED) as served:
        if "idle" in names:
            memory = served.memory_mb()
            print(f"\nidle, nothing loaded: ready in {served.ready_s:.1f} s, {sum(memory.values()):.0f} MB in all")
            print("  " + ", ".join(f"{name} {value:.0f} MB" for name, value in memory.items()))
        if "overhead" in names:
            print("\nwhat the server adds to the raw engine, with trimming and loudness normalization, as by default")
            overhead.run(served)
        if "first-byte" in names:
            print("\nten sentences: first byte and whole response")
            first_byte.run(served)
        if "film" in names:
            print("\nshort clips beside a long file")
            failed += long_file.run(served)
        if "realtime" in names:
            print("\nthe Realtime API: added latency, and late events")
            failed += realtime.run(served, minutes=minutes)
        if "load" in names:
            print(f"\n{load.CALLERS} callers, mixed, one minute")
            failed += len(load.run(served).failed)
        if "overload" in names:
            print("\ntwice the maximum load, one minute")
            failed += sum(overload.run(served).lost.values())
        if "kill" in names:
            print(f"\n{load.CALLERS} callers, each runner killed in turn")
            failed += len([f for f in load.run(served, kill=RUNNERS).failed if f.startswith("transcribe")])
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names_help = (
        f"benchmarks to run: {', '.join(NAMES)}; all these by default; or {', '.join(MORE)}; or `capacity` alone, with options of its own"
    )
    parser.add_argument("names", nargs="*", choices=[*NAMES, *MORE, []], metavar="NAME", help=names_help)
    parser.add_argument("--quick", action="store_true", help="stt, tts, wer, batching, dialogue, kokoro-g2p: fewer rounds, levels or clips")
    folder = "stt, wer, dialogue: a folder of audio with a transcripts.tsv, or texts beside it; may be repeated"
    parser.add_argument("--corpus", type=Path, metavar="DIR", action="append", default=[], help=folder)
    parser.add_argument("--fresh", action="store_true", help="wer: measure the library again instead of reading its kept results")
    parser.add_argument(
        "--long", type=float, nargs="?", const=60.0, default=0.0, metavar="MINUTES", help="stt: one long recording instead (60 minutes)"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="realtime, conversations, fuzz: duration in minutes (1)")
    parser.add_argument(
        "--only", default="", metavar="PARTS", help="dialogue, kokoro-g2p: parts of the contenders' names, separated by commas"
    )
    parser.add_argument("--save", action="store_true", help="stt, tts, wer: write the tables into benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["capacity"]:  # answers a question instead of measuring a speed, and has options of its own
        sys.exit(capacity.main(sys.argv[2:]))
    given = arguments()
    sys.exit(
        main(
            given.names or NAMES,
            stt.Options(given.quick, tuple(given.corpus), given.long, given.save, given.fresh),
            given.minutes,
            given.only,
        )
    )
