"""Whisper's inputs and outputs as values: placement, decoder options, prompt limits, corrected times. Pure, except for reading files."""

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
"""Half of Whisper's 448-token text window, less one: the rest is for the generated text."""
HOTWORD_TOKENS = 100
MOST_TOKENS = 220
"""Token limit of a window: the rest of the text window after the longest prompt and its special tokens, within OpenAI's limit of 224."""
FEWEST_TOKENS, TOKENS_PER_SECOND = 32, 30
"""Token limit of a short clip: five times the fastest English, for scripts with many tokens per letter. Whisper loops in noise at every
temperature: for a clip of 0.1 s these limits reduce 8.4 s to 2.6 s, on two busy cores."""
MAX_THREADS = 4
"""CPU threads per call when the settings do not set them; more are of little use to Whisper, and calls run concurrently."""
_REQUIRED = ("model.bin", "config.json", "tokenizer.json")


class _Encoded(Protocol):
    @property
    def ids(self) -> list[int]: ...


class PromptTokenizer(Protocol):
    """The part of a Hugging Face tokenizer's interface for the prompt limits."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> _Encoded:
        """Return the tokens of a text."""
        ...

    def decode(self, ids: list[int]) -> str:
        """Return the text of tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """The device, compute type and threads of a model."""

    device: str
    """`cpu` or `cuda`."""
    index: int
    compute_type: str
    threads: int
    """CPU threads of one call."""


def place(setup: Setup, engine: Any, *, cores: int) -> Placement:
    """Return the placement of a model; `engine` has the device functions of the ctranslate2 module, `cores` is the number of CPU cores.

    Raises ValueError if the device does not exist.
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
    """Check the files of a model folder, because the engine would download a missing tokenizer from the hub.

    Raises BackendFailed with the name of a missing or broken file.
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
    """Return the language code for a request and the model's languages; None if the language must be detected.

    The only language of a model is not detected. Raises UnsupportedLanguage.
    """
    if wanted is None:
        return known[0] if len(known) == 1 else None
    code = language_code(wanted)
    if code not in known:
        only = "English only" if list(known) == ["en"] else f"{len(known)} languages"
        raise UnsupportedLanguage(f"The model `{model}` supports {only}, not `{wanted}`.", param="language")
    return code


def decoder_options(options: TranscribeOptions, seconds: float) -> dict[str, Any]:
    """Return faster-whisper's arguments for the options of a request, without language, prompt and hotwords; for audio of `seconds`."""
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
    """Truncate prompt and hotwords to the text window: the last tokens of the prompt, the first tokens of the hotwords.

    Each may fill half the window on its own. faster-whisper allows this for both at once, which leaves no room for the generated text.
    """
    words = tokenizer.encode(hotwords.strip(), add_special_tokens=False).ids if hotwords and hotwords.strip() else []
    fitting = tokenizer.decode(words[:HOTWORD_TOKENS]) if words else None
    text = tokenizer.encode(" " + prompt.strip(), add_special_tokens=False).ids if prompt and prompt.strip() else []
    room = PROMPT_TOKENS - min(len(words), HOTWORD_TOKENS)
    return text[-room:] or None, fitting


def timed(raw: Any, *, after: float, duration: float) -> Segment:
    """Convert a segment of faster-whisper; times are ascending and between `after` and `duration`, and words are within the segment."""
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
    """Split a window's tokens at its timestamp tokens, which are `first_time` and above; all text tokens are kept.

    Text before the first timestamp starts at 0, text after the last one ends with the window, and no time is beyond the window.
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
    """Return the most probable of the allowed languages, and its share of their total probability."""
    known = {code: heard.get(code, 0.0) for code in allowed}
    best = max(known, key=known.__getitem__)
    total = sum(known.values())
    return best, known[best] / total if total else 0.0


SURE, SHORT_S, SURE_IN_SHORT = 0.9, 2.0, 0.97
"""Minimum probability of a language other than the expected one: SURE, or SURE_IN_SHORT for less than SHORT_S seconds of audio."""


def spoken_in(heard: Mapping[str, float], allowed: Sequence[str], expected: str | None, seconds: float) -> tuple[str, float]:
    """Return the language of a window of `seconds`, with its probability: the expected one, unless another allowed one is certain."""
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
    """Merge neighboring parts of the same language; a part whose language is uncertain gets that of the part before, or after, it.

    Empty if fewer than two parts have a certain language.
    """
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
