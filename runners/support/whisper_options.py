"""What Whisper is told and what it tells, as values: where to run, decoder options, prompt limits, times put right. Pure but for files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from open_speech.backends import Setup, TranscribeOptions
from open_speech.errors import BackendFailed, UnsupportedLanguage
from open_speech.languages import language_code
from open_speech.transcript import Segment, Word

PROMPT_TOKENS = 223
"""Half of Whisper's 448-token text window, less one: the rest is for what it writes."""
HOTWORD_TOKENS = 100
MOST_TOKENS = 220
"""What a window may say: what the longest prompt and its special tokens leave, and within OpenAI's own limit of 224."""
FEWEST_TOKENS, TOKENS_PER_SECOND = 32, 30
"""What a short clip may say: five times the fastest English, for scripts of many tokens a letter. Whisper finds loops in noise,
at every temperature: for a clip of 0.1 s these limits cut 8.4 s to 2.6 s, on two busy cores."""
MAX_THREADS = 4
"""CPU threads per call when the settings leave it open; Whisper gains little from more, and calls run side by side."""
_REQUIRED = ("model.bin", "config.json", "tokenizer.json")


class _Encoded(Protocol):
    @property
    def ids(self) -> list[int]: ...


class PromptTokenizer(Protocol):
    """As much of a Hugging Face tokenizer as the prompt limits need."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> _Encoded:
        """Give the text's tokens."""
        ...

    def decode(self, ids: list[int]) -> str:
        """Give the tokens' text."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a model runs."""

    device: str
    """`cpu` or `cuda`."""
    index: int
    compute_type: str
    threads: int
    """CPU threads of one call."""


def place(setup: Setup, engine: Any, *, cores: int) -> Placement:
    """Settle what the setup leaves open; `engine` tells of its devices as the ctranslate2 module does, `cores` are the CPU's.

    Raises ValueError if the device does not exist here.
    """
    device, _, index = setup.device.partition(":")
    if device == "auto":
        device = "cuda" if engine.get_cuda_device_count() else "cpu"
    if device not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise ValueError(f"there is no device `{setup.device}`; use auto, cpu, cuda or cuda:N")
    if device == "cuda" and int(index or 0) >= engine.get_cuda_device_count():
        raise ValueError(f"the device `{setup.device}` does not exist here")
    compute_type = setup.compute_type
    if compute_type == "auto":
        wanted = ("float16", "int8", "float32") if device == "cuda" else ("int8", "float32")
        offered = engine.get_supported_compute_types(device, int(index or 0))
        compute_type = next(kind for kind in wanted if kind in offered)
    return Placement(device, int(index or 0), compute_type, setup.threads or max(1, min(MAX_THREADS, cores)))


def check_files(folder: Path, model: str) -> None:
    """Refuse a folder that the engine would misread: it looks for a missing tokenizer on the hub.

    Raises BackendFailed naming the file.
    """
    for name in _REQUIRED:
        if not (folder / name).is_file():
            raise BackendFailed(f"The model `{model}` has no file `{name}`: delete the model and pull it again.")
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json"):
        try:
            if (folder / name).is_file():
                json.loads((folder / name).read_bytes())
        except ValueError as error:
            raise BackendFailed(f"The file `{name}` of the model `{model}` is broken: delete the model and pull it again.") from error


def spoken_language(wanted: str | None, model: str, known: Sequence[str]) -> str | None:
    """Settle a request's language against those that the model knows; None leaves it to be detected, which one language needs not.

    Raises UnsupportedLanguage.
    """
    if wanted is None:
        return known[0] if len(known) == 1 else None
    code = language_code(wanted)
    if code not in known:
        only = "English only" if list(known) == ["en"] else f"{len(known)} languages"
        raise UnsupportedLanguage(f"The model `{model}` supports {only}, not `{wanted}`.", param="language")
    return code


def decoder_options(options: TranscribeOptions, seconds: float) -> dict[str, Any]:
    """Say the request in faster-whisper's words, for audio of `seconds`; language, prompt and hotwords are not among them."""
    vad = options.vad
    return {
        "task": options.task,
        "beam_size": options.beam_size,
        "temperature": list(options.temperatures),
        "condition_on_previous_text": options.condition_on_previous_text,
        "word_timestamps": options.word_times,
        "max_new_tokens": min(MOST_TOKENS, FEWEST_TOKENS + math.ceil(TOKENS_PER_SECOND * seconds)),
        "vad_filter": vad is not None,
        "vad_parameters": vad
        and {
            "threshold": vad.threshold,
            "min_speech_duration_ms": vad.min_speech_ms,
            "min_silence_duration_ms": vad.min_silence_ms,
            "speech_pad_ms": vad.pad_ms,
        },
    }


def fit_prompt(tokenizer: PromptTokenizer, prompt: str | None, hotwords: str | None) -> tuple[list[int] | None, str | None]:
    """Cut prompt and hotwords to what the text window holds: the prompt's last tokens, the hotwords' first.

    Each alone may fill half the window. faster-whisper allows both that much at once, which leaves no room to write.
    """
    words = tokenizer.encode(hotwords.strip(), add_special_tokens=False).ids if hotwords and hotwords.strip() else []
    fitting = tokenizer.decode(words[:HOTWORD_TOKENS]) if words else None
    text = tokenizer.encode(" " + prompt.strip(), add_special_tokens=False).ids if prompt and prompt.strip() else []
    room = PROMPT_TOKENS - min(len(words), HOTWORD_TOKENS)
    return text[-room:] or None, fitting


def timed(raw: Any, *, after: float, duration: float) -> Segment:
    """Make a Segment of faster-whisper's own, its times put in order: from `after` to `duration`, words inside it, none backwards."""
    start = _within(raw.start, after, duration)
    end = _within(raw.end, start, duration)
    words, at = [], start
    for word in raw.words or ():
        begins = _within(word.start, at, end)
        at = _within(word.end, begins, end)
        words.append(Word(word.word, begins, at, float(word.probability)))
    return Segment(
        start=start,
        end=end,
        text=raw.text,
        words=tuple(words),
        tokens=tuple(raw.tokens),
        seek=raw.seek,
        temperature=float(raw.temperature),
        avg_logprob=float(raw.avg_logprob),
        compression_ratio=float(raw.compression_ratio),
        no_speech_prob=float(raw.no_speech_prob),
    )


def _within(value: float, low: float, high: float) -> float:
    return min(max(float(value), low), high)


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens between two timestamp tokens; times in seconds from the start of the window."""

    start: float
    end: float
    tokens: list[int]


TIME_STEP_S = 0.02
"""Seconds between two timestamp tokens."""


def split_at_times(tokens: Sequence[int], first_time: int, end_of_text: int, seconds: float) -> list[Piece]:
    """Cut a window's tokens at its timestamp tokens, which are `first_time` and above; no text token is lost.

    Text before the first time begins at 0, text after the last one ends with the window, and no time is beyond it.
    """
    pieces: list[Piece] = []
    start, text = 0.0, list[int]()
    for token in tokens:
        if token < end_of_text:
            text.append(token)
        elif token >= first_time:
            time = min((token - first_time) * TIME_STEP_S, seconds)
            if text:
                pieces.append(Piece(start, max(time, start), text))
                text = []
            start = max(time, start)
    if text:
        pieces.append(Piece(start, max(seconds, start), text))
    return pieces


def best_language(heard: Mapping[str, float], allowed: Sequence[str]) -> tuple[str, float]:
    """Choose the most probable of the allowed languages; its probability is among them alone."""
    known = {code: heard.get(code, 0.0) for code in allowed}
    best = max(known, key=known.__getitem__)
    total = sum(known.values())
    return best, known[best] / total if total else 0.0


SURE, SHORT_S, SURE_IN_SHORT = 0.9, 2.0, 0.97
"""The probability at which a window is believed to be in another language than expected, and the one for less than SHORT_S of audio."""


def spoken_in(heard: Mapping[str, float], allowed: Sequence[str], expected: str | None, seconds: float) -> tuple[str, float]:
    """Choose the language of a window of `seconds`: the expected one, unless another of the allowed languages is sure."""
    best, probability = best_language(heard, allowed)
    sure = SURE_IN_SHORT if seconds < SHORT_S else SURE
    if expected is None or best == expected or expected not in allowed or probability >= sure:
        return best, probability
    return expected, heard.get(expected, 0.0)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A part of a window and its language; times in seconds from the start of the window."""

    start: float
    end: float
    language: str
    probability: float


def passages(parts: Sequence[Spoken]) -> list[Spoken]:
    """Join neighboring parts of one language; a part that is not sure of its language takes that of the part before it, or after it."""
    sure = [part for part in parts if part.probability >= SURE]
    found: list[Spoken] = []
    for part in parts:
        language = part.language
        if part.probability < SURE and sure:
            language = found[-1].language if found else sure[0].language
        if found and found[-1].language == language:
            found[-1] = Spoken(found[-1].start, part.end, language, max(found[-1].probability, part.probability))
        else:
            found.append(Spoken(part.start, part.end, language, part.probability))
    return found if len(sure) > 1 else []
