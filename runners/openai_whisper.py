"""Whisper as OpenAI published it, on PyTorch: the reference implementation for comparison with faster engines."""

from __future__ import annotations

import math
import pickle
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import Setup, TranscribeOptions, Window, WindowResult
from open_speech.errors import BackendFailed, SpeechError, UnsupportedLanguage, UnsupportedValue, WeightsCorrupt, WeightsUnavailable
from open_speech.languages import language_code
from open_speech.transcript import Segment, TranscriptInfo, Word
from runners.support.split_audio import pieces
from runners.support.whisper_options import FEWEST_TOKENS, MOST_TOKENS, TOKENS_PER_SECOND, best_language, spoken_language
from runners.wiring.bento_service import Resources, stt_service

if TYPE_CHECKING:
    from whisper import Whisper  # noqa: TID251 - its home; the real import is in load()

STRETCH_S = 300.0
"""Seconds of a file in one call of Whisper's own window loop, which returns nothing before its end, and cannot be cancelled."""
BEST_OF = 5
"""Candidates at each temperature above zero, as in OpenAI's own command line."""
SILENT = 1e-4
"""Peak amplitude (-80 dB) below which there is no speech; Whisper transcribes digital silence as " You"."""
SHORTEST_S = 0.1
"""Seconds of audio below which there is no word."""
_LOAD_ERRORS = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, pickle.UnpicklingError)


class OpenAIWhisper:
    """A Whisper checkpoint of OpenAI's own format (`.pt`): multilingual or English-only, any size."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; nothing is read before `load`."""
        self._setup = setup
        self._whisper: Any = None
        self._model: Whisper | None = None
        self._languages: tuple[str, ...] = ()
        # During decoding the library stores its caches in the model itself: two concurrent calls would read each other's.
        self._one_at_a_time = threading.Lock()

    def load(self) -> None:
        """Load the checkpoint onto the device of the setup; `auto` is the GPU if there is one.

        Raises WeightsUnavailable if the file is missing, WeightsCorrupt if it cannot be read, BackendFailed if the device does not exist.
        """
        # Every process imports every runner module; only the process that runs this backend imports the engine.
        import torch  # noqa: PLC0415, TID251 - see above
        import whisper  # noqa: PLC0415, TID251 - see above
        from whisper.tokenizer import LANGUAGES  # noqa: PLC0415, TID251 - see above

        name = self._setup.model.id
        device = torch_device(self._setup.device, torch.cuda.device_count())
        checkpoint = min(self._setup.folder.glob("*.pt"), default=None)
        if checkpoint is None:
            raise WeightsUnavailable(f"The model `{name}` has no file `*.pt`: delete the model and pull it again.")
        if self._setup.threads:
            torch.set_num_threads(self._setup.threads)
        try:
            model = _open(whisper, checkpoint, device)
        except _LOAD_ERRORS as error:
            raise WeightsCorrupt(f"The model `{name}` cannot be read: delete the model and pull it again.") from error
        self._languages = tuple(LANGUAGES)[: model.num_languages] if model.is_multilingual else ("en",)
        self._whisper, self._model = whisper, model

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then the segments of Whisper's own loop, for sections of up to STRETCH_S.

        The audio is split into sections where it is quietest. Raises UnsupportedLanguage for a language that the model does not support,
        and UnsupportedValue for an unsupported translation and for log-probabilities of tokens, which this engine does not return.
        """
        model, language = self._loaded(), self._language(options)
        return self._run(model, audio, options, language)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows one after the other, each padded to Whisper's 30 seconds; the error of a window is the result of that window."""
        model = self._loaded()
        return [self._heard(model, window) for window in windows]

    def _loaded(self) -> Whisper:
        if self._model is None:
            raise BackendFailed("The model is not loaded.")
        return self._model

    def _language(self, options: TranscribeOptions) -> str | None:
        """Check the options; return the language if it is given or the model has only one, else None."""
        name = self._setup.model.id
        language = spoken_language(options.language, name, self._languages)
        if options.task == "translate" and not self._loaded().is_multilingual:
            raise UnsupportedValue(f"The model `{name}` does not translate.", param="task")
        if options.logprobs:
            raise UnsupportedValue(f"The model `{name}` does not provide log-probabilities of tokens.", param="include")
        if language is None and options.languages and not self._allowed(options):
            raise UnsupportedLanguage(f"The model `{name}` supports none of the languages in the list.", param="languages")
        return language

    def _allowed(self, options: TranscribeOptions) -> list[str]:
        codes = [language_code(value) for value in options.languages]
        return [code for code in self._languages if code in codes or not codes]

    def _heard(self, model: Whisper, window: Window) -> WindowResult | SpeechError:
        try:
            language = self._language(window.options)
        except SpeechError as error:
            return error
        if _silent(window.audio):
            return WindowResult(language or "en", 1.0 if language else 0.0)
        with self._one_at_a_time:
            spoken, sure = (language, 1.0) if language else self._detected(model, window.audio, window.options)
            if window.options.detect_only:
                return WindowResult(spoken, sure)
            return WindowResult(spoken, sure, self._decoded(model, window.audio, window.options, spoken, before=""))

    def _run(self, model: Whisper, audio: Audio, options: TranscribeOptions, language: str | None) -> Iterator[TranscriptInfo | Segment]:
        spoken, sure = (language, 1.0) if language else ("en", 0.0)
        if not (language or _silent(audio)):
            with self._one_at_a_time:
                spoken, sure = self._detected(model, audio, options)
        yield TranscriptInfo(spoken, sure, audio.seconds, options.task)
        before = ""
        for start, stretch in () if options.detect_only else pieces(audio, STRETCH_S):
            if _silent(stretch):
                continue
            with self._one_at_a_time:
                segments = self._decoded(model, stretch, options, spoken, before=before)
            if options.condition_on_previous_text:
                before = "".join(segment.text for segment in segments)
            yield from (_later(segment, start) for segment in segments)

    def _detected(self, model: Whisper, audio: Audio, options: TranscribeOptions) -> tuple[str, float]:
        """Detect the language of the first 30 seconds, among the allowed ones; return its code and probability."""
        samples = self._whisper.pad_or_trim(_writable(audio.samples))
        mel = self._whisper.log_mel_spectrogram(samples, model.dims.n_mels).to(model.device)
        _, probabilities = model.detect_language(mel)
        return best_language(probabilities, self._allowed(options))

    def _decoded(self, model: Whisper, audio: Audio, options: TranscribeOptions, language: str, *, before: str) -> tuple[Segment, ...]:
        said = decoder_options(options, audio.seconds, before)
        found = self._whisper.transcribe(model, _writable(audio.samples), language=language, fp16=model.device.type == "cuda", **said)
        return in_order(found["segments"], audio.seconds)


def torch_device(asked: str, gpus: int) -> str:
    """Return the name in torch of a device: `auto`, `cpu`, `cuda` or `cuda:N`. Raises BackendFailed if the device does not exist."""
    kind, _, index = asked.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise BackendFailed(f"There is no device `{asked}`; use auto, cpu, cuda or cuda:N.")
    if kind == "cuda" and int(index or 0) >= gpus:
        raise BackendFailed(f"The device `{asked}` does not exist here.")
    return ("cuda" if gpus else "cpu") if kind == "auto" else asked


def decoder_options(options: TranscribeOptions, seconds: float, before: str = "") -> dict[str, Any]:
    """Return Whisper's arguments for the options of a request, for audio of `seconds` after the text `before`.

    The library keeps the last 223 tokens of a prompt, so the most important part is last: the hotwords.
    """
    prompt = " ".join(part.strip() for part in (options.prompt, before, options.hotwords) if part and part.strip())
    return {
        "task": options.task,
        "temperature": options.temperatures,
        "beam_size": options.beam_size if options.beam_size > 1 else None,
        "best_of": BEST_OF,
        "initial_prompt": prompt or None,
        "condition_on_previous_text": options.condition_on_previous_text,
        "word_timestamps": options.word_times,
        "sample_len": min(MOST_TOKENS, FEWEST_TOKENS + math.ceil(TOKENS_PER_SECOND * seconds)),
    }


def in_order(found: Sequence[Mapping[str, Any]], seconds: float) -> tuple[Segment, ...]:
    """Convert Whisper's segments, except empty ones; times are ascending and within `seconds`, and words are within their segment."""
    segments: list[Segment] = []
    for raw in found:
        if raw["text"].strip():
            segments.append(_segment(raw, segments[-1].end if segments else 0.0, seconds))
    return tuple(segments)


def _segment(raw: Mapping[str, Any], after: float, seconds: float) -> Segment:
    start = _within(raw["start"], after, seconds)
    end = _within(raw["end"], start, seconds)
    words, at = [], start
    for word in raw.get("words", ()):
        begins = _within(word["start"], at, end)
        at = _within(word["end"], begins, end)
        words.append(Word(word["word"], begins, at, float(word["probability"])))
    return Segment(
        start=start,
        end=end,
        text=raw["text"],
        words=tuple(words),
        tokens=tuple(raw["tokens"]),
        seek=int(raw["seek"]),
        temperature=float(raw["temperature"]),
        avg_logprob=float(raw["avg_logprob"]),
        compression_ratio=float(raw["compression_ratio"]),
        no_speech_prob=float(raw["no_speech_prob"]),
    )


def _within(value: float, low: float, high: float) -> float:
    return min(max(float(value), low), high)


def _later(segment: Segment, by: float) -> Segment:
    words = tuple(replace(word, start=word.start + by, end=word.end + by) for word in segment.words)
    return replace(segment, start=segment.start + by, end=segment.end + by, words=words, seek=segment.seek + round(by * 100))


def _open(whisper: Any, checkpoint: Path, device: str) -> Whisper:
    """Load a checkpoint with OpenAI's alignment heads for word times, which the library does not look up for a path."""
    model: Whisper = whisper.load_model(str(checkpoint), device=device)
    heads = whisper._ALIGNMENT_HEADS.get(checkpoint.stem)  # private, and the only place that contains them
    if heads is not None:
        model.set_alignment_heads(heads)
    return model


def _silent(audio: Audio) -> bool:
    return audio.seconds < SHORTEST_S or max(audio.samples.max(), -audio.samples.min()) < SILENT


def _writable(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a writable copy of read-only samples, such as those from a message, because torch warns about read-only arrays."""
    return samples if samples.flags.writeable else samples.copy()


Runner = stt_service("openai-whisper", OpenAIWhisper, Resources(gpu=0.5, threads=1, cpu=2, memory="2Gi"))
