"""Whisper on CTranslate2, through faster-whisper: every option of the API, in any language its model knows."""

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
"""Calls that decode at once. Four clips of 10 s, base, int8, two cores: 2.2 s one at a time, 1.5 s two at a time.

They share the cores: on two of them each call has one thread. A call of two threads takes more CPU and is later done: the steps
of its decoder are too small to share."""
SHORTEST_S = 0.1
"""Seconds of audio below which there is no word; OpenAI refuses such a clip, and Whisper raves about it."""
_LOAD_ERRORS = (RuntimeError, ValueError, OSError, MemoryError)


class FasterWhisper:
    """A Whisper model of CTranslate2's format: multilingual or English-only, any size."""

    def __init__(self, setup: Setup) -> None:
        """Remember where the model is; nothing is read before `load`."""
        self._setup = setup
        self._model: WhisperModel | None = None

    def load(self) -> None:
        """Read the model onto the device it was given, or the best one there is.

        Raises BackendFailed if a file is missing or broken, or if the device or compute type does not exist here.
        """
        # Threads that spin while they wait take the cores from the calls beside them: nearly twice the CPU for eight clips at once.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # noqa: TID251 - read by libgomp, which the next import loads
        # Every process imports every runner module; only this one pays for the engine.
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

        Raises UnsupportedLanguage for a language that is unknown or that the model does not have, and UnsupportedValue when the
        model is asked to translate and cannot.
        """
        model = self._model
        if model is None:
            raise BackendFailed("The model is not loaded.")
        language = spoken_language(options.language, self._setup.model.id, _languages(model))
        if options.task == "translate" and not (model.model.is_multilingual and self._setup.model.translates):
            raise UnsupportedValue(f"The model `{self._setup.model.id}` does not translate.", param="task")
        if audio.seconds < SHORTEST_S or max(audio.samples.max(), -audio.samples.min()) < SILENT:
            return iter([TranscriptInfo(language or "en", 1.0 if language else 0.0, audio.seconds, options.task)])
        return self._decode(model, audio, options, language)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows of at most 30 s together, each in no longer a context than its speech needs."""
        if self._model is None:
            return [BackendFailed("The model is not loaded.")] * len(windows)
        return self._windows.transcribe_windows(windows, [self._asked(window.options) for window in windows])

    def _asked(self, options: TranscribeOptions) -> str | None | SpeechError:
        """Check one window's options: its language, None to detect it, or what is wrong with them."""
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
    """Count the CPU cores this process may use, where the system tells."""
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
    """List what this model really knows: the languages that it has a token for."""
    if not model.model.is_multilingual:
        return ["en"]
    return [code for code in LANGUAGES if model.hf_tokenizer.token_to_id(f"<|{code}|>") is not None]


def _with_its_own_features(model: WhisperModel) -> WhisperModel:
    """Make as many mel bands as the model takes: a folder without preprocessor_config.json would get 80, and large-v3 takes 128."""
    bands = model.model.n_mels
    if model.feature_extractor.mel_filters.shape[0] != bands:
        model.feature_extractor = type(model.feature_extractor)(feature_size=bands)
    return model


def encoding_once(model: WhisperModel) -> WhisperModel:
    """Give a view of the model, for one call, whose first encoder output serves twice.

    faster-whisper encodes the first 30 s to detect the language, throws the result away and encodes them again to decode them.
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


Runner = stt_service("faster-whisper", FasterWhisper, Resources(gpu=0.5, threads=CALLS))
