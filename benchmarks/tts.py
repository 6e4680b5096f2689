"""Text to speech against the raw engines and their servers, by turns in one run: first audio, whole response, CPU seconds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import CalledProcessError

import httpx

from benchmarks import tts_peers as peers
from benchmarks.clips import model_folder
from benchmarks.peers import PAUSE_S
from benchmarks.served import Served, serve
from benchmarks.tts_peers import Contender, Ours
from benchmarks.tts_report import Length, Race, Result, Timing, tables
from open_speech.synthesis.service import FIRST_PIECE_CHARS
from open_speech.text.chunking import pieces
from runners import catalog

SENTENCE = "The last train to the coast leaves at seven in the evening."
PARAGRAPH = (
    "When the snow finally melted in the valley, the farmers opened their barns, and the whole village came out to look at the river. "
    "It had risen so high that the old bridge was gone. Nobody could say where the stones had been carried, and nobody seemed to mind. "
    "Children threw sticks into the brown water and ran along the bank to see whose was the fastest. In the afternoon a carpenter from "
    "the next town arrived with a long rope, two horses and a great deal of advice. He told everyone that a new wooden bridge would take a "
    "month, cost very little and last for a hundred years. Most people believed the second part the least of all."
)
TEXTS: dict[Length, str] = {"sentence": SENTENCE, "paragraph": PARAGRAPH}
WORDS = (len(SENTENCE.split()), len(PARAGRAPH.split()))
VOICE = "af_heart"
PIPER = "piper/en_US-joe-medium"
PIPER_VOICE = "en_US-joe-medium"
HIBARI = "hibari/heart"
RAW = 1
"""Index of the raw library among the contenders."""
ROUNDS, QUICK_ROUNDS = 8, 2
RESULTS = Path(__file__).parent / "results" / "tts.md"


def run(*, quick: bool = False, save: bool = False) -> None:
    """Measure and print; with `save` the tables are written to benchmarks/results as well."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with serve({"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "STT_BACKENDS": "", "TTS_BACKENDS": "kokoro,piper,hibari"}) as served:
        report = tables([kokoro(served, rounds), piper(served, rounds), hibari(served, rounds)], WORDS)
    print(report)
    if save:
        RESULTS.write_text(report + "\n", encoding="utf-8")


def kokoro(served: Served, rounds: int) -> Race:
    """Measure all contenders with Kokoro's weights."""
    folder = model_folder("kokoro")
    model = next(folder.glob("*.onnx"))
    with tempfile.TemporaryDirectory(prefix="open-speech-tts-") as work, ExitStack() as stack:
        voices = peers.all_voices(folder / "voices", Path(work))
        contenders: list[Contender] = [
            stack.enter_context(_ours(served, "kokoro", {"model": "kokoro", "voice": VOICE})),
            stack.enter_context(peers.raw_kokoro(model, voices, VOICE)),
        ]
        contenders += _if_available(stack, peers.fastkokoro(model, voices, VOICE, Path(work)))
        return race(f"Kokoro ({model.name}, {VOICE})", "kokoro", contenders, rounds)


def piper(served: Served, rounds: int) -> Race:
    """Measure all contenders with Piper's weights."""
    folder = model_folder(PIPER)
    with ExitStack() as stack:
        contenders: list[Contender] = [
            stack.enter_context(_ours(served, "piper", {"model": PIPER, "voice": PIPER_VOICE})),
            stack.enter_context(peers.raw_piper(folder / f"{PIPER_VOICE}.onnx")),
        ]
        contenders += _if_available(stack, peers.wyoming_piper(folder, PIPER_VOICE))
        return race(f"Piper ({PIPER_VOICE})", "piper", contenders, rounds)


def hibari(served: Served, rounds: int) -> Race:
    """Measure the server and the library with hibari's default voice."""
    with ExitStack() as stack:
        contenders: list[Contender] = [
            stack.enter_context(_ours(served, "hibari", {"model": HIBARI, "voice": "heart"})),
            stack.enter_context(peers.raw_hibari(model_folder(HIBARI) / "hibari.onnx")),
        ]
        return race("hibari (heart)", "hibari", contenders, rounds)


def race(title: str, engine: str, contenders: list[Contender], rounds: int) -> Race:
    """Measure all contenders by turns; the first round loads the models and is not counted."""
    piece_chars = next(entry.piece_chars for entry in catalog.BACKENDS if entry.name == engine)
    clause = pieces(PARAGRAPH, first_chars=FIRST_PIECE_CHARS, piece_chars=piece_chars)[0]
    results = [Result(one.name) for one in contenders]
    for turn in range(rounds + 1):
        print(f"... {title}, round {turn} of {rounds}", flush=True)
        for number, (one, result) in enumerate(zip(contenders, results, strict=True)):
            texts = TEXTS | {"clause": clause} if number == RAW else TEXTS
            for length, text in texts.items():
                timing = measured(one, text)
                if turn:
                    result.timings.setdefault(length, []).append(timing)
    return Race(title, clause, results)


def measured(one: Contender, text: str) -> Timing:
    """Synthesize a text after a pause; return the times and the CPU time."""
    time.sleep(PAUSE_S)
    before = one.cpu_s()
    timing = one.speak(text)
    return replace(timing, cpu=one.cpu_s() - before)


@contextmanager
def _ours(served: Served, engine: str, body: dict[str, object]) -> Iterator[Ours]:
    with httpx.Client(timeout=peers.ANSWER_S) as client:
        yield Ours("Open Speech", engine, body, served, client)


def _if_available(stack: ExitStack, peer: AbstractContextManager[Contender]) -> Iterator[Contender]:
    try:
        yield stack.enter_context(peer)
    except (CalledProcessError, ChildProcessError, TimeoutError) as missing:
        print(f"... without a peer: {missing}", flush=True)
