"""NVIDIA's Parakeet and Canary on ONNX Runtime, through onnx-asr: no torch, no NeMo."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_speech.audio import Audio
from open_speech.backends import Setup, TranscribeOptions, Window, WindowResult
from open_speech.errors import BackendFailed, SpeechError, UnsupportedLanguage, UnsupportedValue, WeightsCorrupt, WeightsUnavailable
from open_speech.languages import language_code
from open_speech.transcript import Segment, Token, TranscriptInfo, Word
from runners.support.split_audio import pieces
from runners.support.token_words import mean_logprob, sentences, spoken_words
from runners.wiring.bento_service import Resources, stt_service

if TYPE_CHECKING:
    from onnx_asr.adapters import TimestampedResultsAsrAdapter  # noqa: TID251 - its home; the real import is in load()
    from onnx_asr.asr import TimestampedResult  # noqa: TID251 - as above

CALLS = 2
"""Maximum concurrent calls: one can encode on all cores while another decodes, which is a loop of small steps."""
PIECE_S = 20.0
"""Seconds of audio in one call for a whole file: the models were trained on clips of up to 20 to 30 s."""
SILENT = 1e-4
"""Peak amplitude (-80 dB) below which there is no speech."""
SHORTEST_S = 0.1
"""Seconds of audio below which there is no word, and too few frames to normalize."""
MAX_THREADS = 4
"""CPU threads per call when the settings do not set them."""
_TRANSDUCERS = ("nemo-conformer-ctc", "nemo-conformer-rnnt", "nemo-conformer-tdt")
"""Model types that return the start of each token, recognize all their languages without a choice, and decode a batch item by item."""
_CANARY = "nemo-conformer-aed"
"""The model type that requires the language, can translate, and returns no times."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """The validated options of one request, with its language."""

    language: str
    language_probability: float
    options: TranscribeOptions


class OnnxAsr:
    """A NeMo model in ONNX: Parakeet with a CTC, RNN-T or TDT decoder, or Canary."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; nothing is read before `load`."""
        self._setup = setup
        self._kind = ""
        self._model: TimestampedResultsAsrAdapter | None = None

    def load(self) -> None:
        """Open the model's sessions on the device of the setup, with the 8-bit files if the folder has them.

        Raises WeightsUnavailable if a file is missing, WeightsCorrupt if one cannot be read, BackendFailed if the device does not exist.
        """
        # Every process imports every runner module; only the process that runs this backend imports the engine.
        import onnx_asr  # noqa: PLC0415, TID251 - see above
        import onnxruntime  # noqa: PLC0415, TID251 - see above
        from onnx_asr.utils import ModelFileNotFoundError  # noqa: PLC0415, TID251 - see above
        from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415, TID251 - see above

        name, folder = self._setup.model.id, self._setup.folder
        broken = (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.InvalidArgument, state.RuntimeException)
        providers = execution_providers(self._setup.device, onnxruntime.get_available_providers())
        self._kind = _kind(folder, name)
        try:
            model = onnx_asr.load_model(
                self._kind,
                folder,
                quantization="int8" if any(folder.glob("*.int8.onnx")) else None,
                sess_options=_session_options(onnxruntime, self._setup.threads),
                providers=providers,
                # Our audio already has the model's rate, so these sessions, one per rate, never run and need no threads.
                resampler_config={"sess_options": _session_options(onnxruntime, 1), "providers": ["CPUExecutionProvider"]},
            )
        except (ModelFileNotFoundError, state.NoSuchFile):
            raise WeightsUnavailable(f"A file of the model `{name}` is missing: delete the model and pull it again.") from None
        except (*broken, ValueError, KeyError, OSError) as error:
            raise WeightsCorrupt(f"The model `{name}` cannot be read: delete the model and pull it again.") from error
        self._model = model.with_timestamps()

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then the segments of each piece of up to PIECE_S, split where the audio is quietest.

        The decoder is greedy and has no text context: beam size, temperatures, prompt and hotwords have no effect. Without a language
        Parakeet recognizes any of its languages, and Canary assumes English; neither reports the language, so its probability is 0.
        Raises UnsupportedLanguage, and UnsupportedValue where the language of several is to be detected.
        """
        model, ask = self._loaded(), self._ask(options)
        return self._run(model, audio, ask)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows together, each with its own options; the error of a window is the result of that window."""
        model = self._loaded()
        results: list[WindowResult | SpeechError] = []
        heard: list[tuple[int, Audio, _Ask]] = []
        for window in windows:
            try:
                ask = self._ask(window.options)
            except SpeechError as error:
                results.append(error)
                continue
            if _says_something(window.audio, ask):
                heard.append((len(results), window.audio, ask))
            results.append(WindowResult(ask.language, ask.language_probability))
        found = self._recognize(model, [(audio, ask) for _, audio, ask in heard])
        for (place, _, ask), segments in zip(heard, found, strict=True):
            results[place] = WindowResult(ask.language, ask.language_probability, segments)
        return results

    def _loaded(self) -> TimestampedResultsAsrAdapter:
        if self._model is None:
            raise BackendFailed("The model is not loaded.")
        return self._model

    def _ask(self, options: TranscribeOptions) -> _Ask:
        model = self._setup.model
        language, sure = settle_language(options, model.id, model.languages)
        if options.detect_only and not sure:
            raise UnsupportedValue(f"The model `{model.id}` does not detect the language.", param="model")
        return _Ask(language, sure, options)

    def _run(self, model: TimestampedResultsAsrAdapter, audio: Audio, ask: _Ask) -> Iterator[TranscriptInfo | Segment]:
        yield TranscriptInfo(ask.language, ask.language_probability, audio.seconds, ask.options.task)
        for start, piece in pieces(audio, PIECE_S):
            if _says_something(piece, ask):
                (segments,) = self._recognize(model, [(piece, ask)])
                yield from (_later(segment, start) for segment in segments)

    def _recognize(self, model: TimestampedResultsAsrAdapter, asked: Sequence[tuple[Audio, _Ask]]) -> list[tuple[Segment, ...]]:
        """Run the model: Parakeet on all audios in one batch, Canary on one after the other."""
        if not asked:
            return []
        if self._kind == _CANARY:
            # Each audio has its own language, and in a batch onnx-asr continues a complete text until the last one is complete.
            return [_whole(_written(model, audio, ask), audio.seconds, ask.options) for audio, ask in asked]
        found = model.recognize([audio.samples for audio, _ in asked])
        return [_timed(result, audio.seconds, ask.options) for result, (audio, ask) in zip(found, asked, strict=True)]


def execution_providers(device: str, available: Sequence[str]) -> list[Any]:
    """Return ONNX Runtime's execution providers for a device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises BackendFailed if the device does not exist, or the installed onnxruntime cannot use it.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise BackendFailed(f"There is no device `{device}`; use auto, cpu, cuda or cuda:N.")
    cuda = "CUDAExecutionProvider" in available
    if kind == "cuda" and not cuda:
        raise BackendFailed("The device `cuda` needs the package `onnxruntime-gpu` in place of `onnxruntime`.")
    gpu = [("CUDAExecutionProvider", {"device_id": int(index or 0)})] if cuda and kind != "cpu" else []
    return [*gpu, "CPUExecutionProvider"]


def settle_language(options: TranscribeOptions, model: str, known: Sequence[str]) -> tuple[str, float]:
    """Return the language and its probability: 1.0 if the request determines it, else 0.0 with English if that is possible.

    Raises UnsupportedLanguage with the invalid field in `param`.
    """
    field, wanted = ("language", (options.language,)) if options.language else ("languages", options.languages)
    codes = [code for code in (language_code(value) for value in wanted) if code in known]
    if wanted and not codes:
        only = "English only" if list(known) == ["en"] else f"{len(known)} languages"
        raise UnsupportedLanguage(f"The model `{model}` supports {only}, not {', '.join(f'`{value}`' for value in wanted)}.", param=field)
    choice = [code for code in codes if code is not None] or list(known)
    return ("en" if "en" in choice else choice[0]), float(len(choice) == 1)


def _kind(folder: Path, name: str) -> str:
    """Return the type of the model, which determines its decoder, from its `config.json`."""
    try:
        kind = json.loads((folder / "config.json").read_bytes())["model_type"]
    except FileNotFoundError:
        raise WeightsUnavailable(f"The model `{name}` has no file `config.json`: delete the model and pull it again.") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise WeightsCorrupt(f"The file `config.json` of the model `{name}` cannot be read.") from error
    if kind not in (*_TRANSDUCERS, _CANARY):
        raise BackendFailed(f"The model `{name}` has the type `{kind}`; this backend runs NeMo models only.")
    return str(kind)


def _session_options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(MAX_THREADS, os.cpu_count() or 1)
    # As in runners/support/onnx.py: no memory plan for each length of audio, and no spinning of idle threads.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _says_something(audio: Audio, ask: _Ask) -> bool:
    """Return whether a text is requested and the audio is long and loud enough to contain speech."""
    return not ask.options.detect_only and audio.seconds >= SHORTEST_S and max(audio.samples.max(), -audio.samples.min()) >= SILENT


def _written(model: TimestampedResultsAsrAdapter, audio: Audio, ask: _Ask) -> TimestampedResult:
    """Run Canary; the text is in the language of the audio, or in English for a translation."""
    target = "en" if ask.options.task == "translate" else ask.language
    return model.recognize(audio.samples, language=ask.language, target_language=target)


def _tokens(result: TimestampedResult) -> list[Token]:
    """Return the tokens with their log-probabilities; none if Canary returns fewer of these, because they cannot be matched then."""
    tokens, logprobs = result.tokens or [], result.logprobs or []
    return [Token(text, min(0.0, logprob)) for text, logprob in zip(tokens, logprobs, strict=True)] if len(tokens) == len(logprobs) else []


def _timed(result: TimestampedResult, seconds: float, options: TranscribeOptions) -> tuple[Segment, ...]:
    words = spoken_words(_tokens(result), result.timestamps or [], seconds)
    return sentences(words, word_times=options.word_times, logprobs=options.logprobs)


def _whole(result: TimestampedResult, seconds: float, options: TranscribeOptions) -> tuple[Segment, ...]:
    text, tokens = result.text.strip(), _tokens(result)
    if not text:
        return ()
    return (Segment(0.0, seconds, " " + text, avg_logprob=mean_logprob(tokens), logprobs=tuple(tokens) if options.logprobs else ()),)


def _later(segment: Segment, by: float) -> Segment:
    words = tuple(Word(word.text, word.start + by, word.end + by, word.probability) for word in segment.words)
    return replace(segment, start=segment.start + by, end=segment.end + by, words=words, seek=round(by * 100))


Runner = stt_service("onnx-asr", OnnxAsr, Resources(gpu=0.5, threads=CALLS, cpu=2, memory="4Gi"))
