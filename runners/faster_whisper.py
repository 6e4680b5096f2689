"""Whisper on CTranslate2, through faster-whisper: supports every option of the API, in all languages of the model."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from open_speech.audio import Audio
from open_speech.backends import Setup, TranscribeOptions, Window, WindowResult
from open_speech.errors import BackendFailed, SpeechError, UnsupportedValue
from open_speech.languages import LANGUAGES
from open_speech.transcript import Segment, TranscriptInfo
from runners.support.whisper_options import Placement, check_files, decoder_options, fit_prompt, place, spoken_language, timed
from runners.support.whisper_windows import SILENT, WindowDecoder
from runners.wiring.bento_service import Resources, stt_service

if TYPE_CHECKING:
    from faster_whisper import WhisperModel  # noqa: TID251 - its home; the real import is in load()

CALLS = 2
"""Maximum concurrent calls. Four clips of 10 s, base, int8, two cores: 2.2 s one at a time, 1.5 s two at a time.

The calls share the cores: on two cores each call has one thread. A call with two threads takes more CPU and finishes later, because the
steps of its decoder are too small to parallelize."""
SHORTEST_S = 0.1
"""Seconds of audio below which there is no word; OpenAI rejects such a clip, and Whisper hallucinates text for it."""
_LOAD_ERRORS = (RuntimeError, ValueError, OSError, MemoryError)


class FasterWhisper:
    """A Whisper model of CTranslate2's format: multilingual or English-only, any size."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; nothing is read before `load`."""
        self._setup = setup
        self._model: WhisperModel | None = None

    def load(self) -> None:
        """Load the model onto the device of the setup, or the best available one.

        Raises BackendFailed if a file is missing or broken, or if the device or compute type is not available on this machine.
        """
        # Threads that spin while they wait take the cores from concurrent calls: nearly twice the CPU for eight clips at once.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # noqa: TID251 - read by libgomp, which the next import loads
        # Every process imports every runner module; only the process that runs this backend imports the engine.
        import ctranslate2  # noqa: PLC0415, TID251 - see above
        from faster_whisper import WhisperModel  # noqa: PLC0415, TID251 - see above

        name = self._setup.model.id
        check_files(self._setup.folder, name)
        try:
            where = place(self._setup, ctranslate2, cores=_cores() // CALLS)
            self._model = _with_its_own_features(_open(WhisperModel, self._setup, where))
            self._windows = WindowDecoder(self._model, _languages(self._model))
        except _LOAD_ERRORS as error:
            raise BackendFailed(f"The model `{name}` cannot be loaded: {_without_path(error, self._setup)}") from error

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then each segment as its 30 s window is decoded; a segment's text begins with Whisper's own space.

        Raises UnsupportedLanguage for a language that is unknown or not supported by the model, and UnsupportedValue for a translation
        that the model does not support.
        """
        model = self._model
        if model is None:
            raise BackendFailed("The model is not loaded.")
        language = spoken_language(options.language, self._setup.model.id, _languages(model))
        if options.task == "translate" and not model.model.is_multilingual:
            raise UnsupportedValue(f"The model `{self._setup.model.id}` does not translate.", param="task")
        if audio.seconds < SHORTEST_S or max(audio.samples.max(), -audio.samples.min()) < SILENT:
            return iter([TranscriptInfo(language or "en", 1.0 if language else 0.0, audio.seconds, options.task)])
        return self._decode(model, audio, options, language)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows of at most 30 s together, with no more context than their speech needs."""
        if self._model is None:
            return [BackendFailed("The model is not loaded.")] * len(windows)
        return self._windows.transcribe_windows(windows, [self._asked(window.options) for window in windows])

    def _asked(self, options: TranscribeOptions) -> str | None | SpeechError:
        """Check one window's options; return its language, None to detect it, or the error of the options."""
        assert self._model is not None
        if options.task == "translate" and not (self._model.model.is_multilingual and self._setup.model.translates):
            return UnsupportedValue(f"The model `{self._setup.model.id}` does not translate.", param="task")
        try:
            return spoken_language(options.language, self._setup.model.id, _languages(self._model))
        except SpeechError as wrong:
            return wrong

    def _decode(
        self, model: WhisperModel, audio: Audio, options: TranscribeOptions, language: str | None
    ) -> Iterator[TranscriptInfo | Segment]:
        call = model if language else encoding_once(model)
        prompt, hotwords = fit_prompt(model.hf_tokenizer, options.prompt, options.hotwords)
        segments, info = call.transcribe(
            audio.samples, language=language, initial_prompt=prompt, hotwords=hotwords, **decoder_options(options, audio.seconds)
        )
        yield TranscriptInfo(info.language, float(info.language_probability), audio.seconds, options.task)
        end = 0.0
        for raw in segments:
            segment = timed(raw, after=end, duration=audio.seconds)
            end = segment.end
            yield segment


def _cores() -> int:
    """Return the number of CPU cores that this process may use, or of all cores if the system does not report it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open(engine: type[WhisperModel], setup: Setup, where: Placement) -> WhisperModel:
    return engine(
        str(setup.folder),
        device=where.device,
        device_index=where.index,
        compute_type=where.compute_type,
        cpu_threads=where.threads,
        num_workers=CALLS,
        local_files_only=True,
    )


def _languages(model: WhisperModel) -> list[str]:
    """Return the languages that the model actually supports: those that it has a token for."""
    if not model.model.is_multilingual:
        return ["en"]
    return [code for code in LANGUAGES if model.hf_tokenizer.token_to_id(f"<|{code}|>") is not None]


def _with_its_own_features(model: WhisperModel) -> WhisperModel:
    """Set the number of mel bands to that of the model: without preprocessor_config.json it would be 80, and large-v3 takes 128."""
    bands = model.model.n_mels
    if model.feature_extractor.mel_filters.shape[0] != bands:
        model.feature_extractor = type(model.feature_extractor)(feature_size=bands)
    return model


def encoding_once(model: WhisperModel) -> WhisperModel:
    """Return a view of the model, for one call, whose first encoder output is used twice.

    faster-whisper encodes the first 30 s to detect the language, discards the result and encodes them again to decode them.
    The view shares the weights; on a 10 s clip it saves 40 % of the time.
    """
    call = copy.copy(model)
    kept: list[Any] = []

    def encode(features: Any) -> Any:
        if kept:
            call.encode = model.encode
            return kept.pop()
        kept.append(model.encode(features))
        return kept[0]

    call.encode = encode
    return call


def _without_path(error: BaseException, setup: Setup) -> str:
    return str(error).replace(str(setup.folder), "its folder") or type(error).__name__


Runner = stt_service("faster-whisper", FasterWhisper, Resources(gpu=0.5, threads=CALLS, cpu=2, memory="1Gi"))
