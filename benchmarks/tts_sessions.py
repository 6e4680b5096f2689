"""Session options of onnxruntime for Kokoro and Piper on a CPU: threads, spinning, graph and memory options, by turns in one run."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kokoro_onnx import Kokoro
from onnxruntime import ExecutionMode, GraphOptimizationLevel, InferenceSession, SessionOptions
from piper import PiperVoice
from piper.config import PiperConfig

from benchmarks.clips import model_folder
from benchmarks.peers import PAUSE_S
from benchmarks.tts import PARAGRAPH, PIPER, PIPER_VOICE, SENTENCE, VOICE
from benchmarks.tts_peers import all_voices
from benchmarks.tts_report import markdown
from open_speech.synthesis.service import FIRST_PIECE_CHARS
from open_speech.text.chunking import pieces
from runners.support import onnx

Speak = Callable[[str], object]
Options = dict[str, object]
SPIN_US = "session.intra_op.spin_duration_us"
OURS: Options = {"intra_op_num_threads": 2, "enable_mem_pattern": False, SPIN_US: onnx.SPIN_US}
"""The options in runners/support/onnx.py on two cores."""
SETUPS: dict[str, Options] = {
    "as it comes: spinning threads": {},
    "ours: 2 threads that spin for 50 us, no memory pattern": OURS,
    "no spinning": OURS | {SPIN_US: "0"},
    "spinning for 10 us": OURS | {SPIN_US: "10"},
    "spinning for 200 us": OURS | {SPIN_US: "200"},
    "1 thread": OURS | {"intra_op_num_threads": 1},
    "memory pattern": OURS | {"enable_mem_pattern": True},
    "no arena": OURS | {"enable_cpu_mem_arena": False},
    "graph: basic": OURS | {"graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_BASIC},
    "graph: extended": OURS | {"graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_EXTENDED},
    "two operators at once, 1 thread each": OURS
    | {"intra_op_num_threads": 1, "inter_op_num_threads": 2, "execution_mode": ExecutionMode.ORT_PARALLEL},
    "smaller shares of a thread": OURS | {"session.dynamic_block_base": "4"},
    "denormals as zero": OURS | {"session.set_denormal_as_zero": "1"},
}
TOGETHER = ("ours: 2 threads that spin for 50 us, no memory pattern", "1 thread")
"""Setups that are also measured with two concurrent calls."""
ROUNDS, QUICK_ROUNDS = 8, 2


def run(*, quick: bool = False) -> None:
    """Print two tables for each engine."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    clause = pieces(PARAGRAPH, first_chars=FIRST_PIECE_CHARS, piece_chars=250)[0]
    for name, opened in (("Kokoro", kokoro), ("Piper", piper)):
        calls = {setup: opened(options) for setup, options in SETUPS.items()}
        print(f"\n{name}, medians of {rounds} rounds, in brackets against the first row:\n")
        print(table(calls, (SENTENCE, clause), rounds), flush=True)
        print("\nTwo calls at once, until both are done:\n")
        print(table({setup: at_once(calls[setup]) for setup in TOGETHER}, (SENTENCE, clause), rounds), flush=True)


def kokoro(options: Options) -> Speak:
    """Load Kokoro in a session with these options."""
    folder = model_folder("kokoro")
    with tempfile.TemporaryDirectory() as work:
        engine = Kokoro.from_session(session(next(folder.glob("*.onnx")), options), str(all_voices(folder / "voices", Path(work))))
        style = engine.get_voice_style(VOICE)
    return lambda text: engine.create(text, style, trim=False)


def piper(options: Options) -> Speak:
    """Load Piper in a session with these options."""
    path = model_folder(PIPER) / f"{PIPER_VOICE}.onnx"
    settings = PiperConfig.from_dict(json.loads(path.with_suffix(".onnx.json").read_text(encoding="utf-8")))
    voice = PiperVoice(session(path, options), settings)
    return lambda text: list(voice.synthesize(text))


def session(path: Path, options: Options) -> InferenceSession:
    """Open a model file; options that begin with `session.` are configuration entries, the others attributes of SessionOptions."""
    chosen = SessionOptions()
    for name, value in options.items():
        if name.startswith("session."):
            chosen.add_session_config_entry(name, str(value))
        else:
            setattr(chosen, name, value)
    return InferenceSession(path, chosen, providers=["CPUExecutionProvider"])


def at_once(speak: Speak) -> Speak:
    """Return a function that makes two concurrent calls."""

    def twice(text: str) -> object:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(speak, (text, text)))

    return twice


def table(calls: Mapping[str, Speak], texts: Sequence[str], rounds: int) -> str:
    """Measure all setups by turns, after a warm-up round; return a table of the seconds and CPU seconds of each text."""
    spent: dict[str, list[list[float]]] = {name: [[] for _ in range(2 * len(texts))] for name in calls}
    for turn in range(rounds + 1):
        for name, speak in calls.items():
            for number, text in enumerate(texts):
                time.sleep(PAUSE_S)
                started, used = time.perf_counter(), time.process_time()
                speak(text)
                took = (time.perf_counter() - started, time.process_time() - used)
                if turn:
                    for kind, seconds in enumerate(took):
                        spent[name][2 * number + kind].append(seconds)
    medians = {name: [statistics.median(each) for each in all_] for name, all_ in spent.items()}
    first = next(iter(medians.values()))
    rows = [[name, *(f"{value:.3f} ({value / of:.2f})" for value, of in zip(each, first, strict=True))] for name, each in medians.items()]
    return markdown(["", *(f"{len(text.split())} words: {what}" for text in texts for what in ("s", "CPU s"))], rows)
