"""The conformance kit finds what is wrong with a backend: each fault below fails the test that is for it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import BackendEntry, ModelEntry, Setup, SpeechOptions, Task, TranscribeOptions, Utterance
from open_speech.errors import ContextOverflow, InvalidValue, SpeechError, UnknownVoice
from open_speech.plugins import Plugin
from open_speech.testing import (
    BatchSynthesizerConformance,
    PluginConformance,
    Row,
    Spoken,
    SynthesizerConformance,
    TextGeneratorConformance,
    TranscriberConformance,
)
from open_speech.testing.row import load
from open_speech.transcript import Segment, TranscriptInfo
from runners import catalog
from runners.tones import TonesSynthesizer, TonesTranscriber
from tests.plugin_packages import install_speaker, python

FAILS = (AssertionError, pytest.fail.Exception, SpeechError, IndexError, ValueError)
SPEAK, LISTEN = (next(model for model in catalog.own_models() if model.id == f"tones/{name}") for name in ("speak", "listen"))
SPEAKS, LISTENS = (next(entry for entry in catalog.BACKENDS if entry.name == f"tones-{name}") for name in ("tts", "stt"))
ROW = Row(SPEAKS, SPEAK)
OPTIONS = SpeechOptions("tone")
KIT = SynthesizerConformance()


class OneVoice(TonesSynthesizer):
    """Has the voice `tone` alone, whatever its row says."""

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        if options.voice != "tone":
            raise UnknownVoice("no such voice", param="voice")
        return super().synthesize(text, options)


class Changed(TonesSynthesizer):
    """Changes the audio of each part."""

    def __init__(self, change: Callable[[Audio], Audio]) -> None:
        self._change = change

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        return (self._change(part) for part in super().synthesize(text, options))


class Short(TonesSynthesizer):
    """Leaves out what is beyond the tenth word."""

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        return itertools.islice(super().synthesize(text, options), 10)


class Slow(TonesSynthesizer):
    """Has one speed."""

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        return super().synthesize(text, replace(options, speed=1.0))


class Once(TonesSynthesizer):
    """Keeps the text of the last call, and speaks that."""

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        self._text, before = text, getattr(self, "_text", text)
        return super().synthesize(before, options)


def with_offset(part: Audio) -> Audio:
    return Audio(part.samples + np.float32(0.1), part.rate)


def tones() -> TonesSynthesizer:
    return TonesSynthesizer(Setup(SPEAK, Path()))


SETUP = Setup(SPEAK, Path())
BELL = replace(SPEAK.voices[0], id="bell")
FAULTY: list[tuple[str, Callable[[], None]]] = [
    ("rate", lambda: _sentence(Changed(lambda part: Audio(part.samples, 22_050)))),
    ("dtype", lambda: _sentence(Changed(lambda part: Audio(part.samples.astype(np.float64), part.rate)))),  # type: ignore[arg-type]
    ("stereo", lambda: _sentence(Changed(lambda part: Audio(np.stack([part.samples] * 2, 1), part.rate)))),
    ("loud", lambda: _sentence(Changed(lambda part: Audio(part.samples * np.float32(3), part.rate)))),
    ("silent", lambda: _sentence(Changed(lambda part: silence(part.seconds, part.rate)))),
    ("nan", lambda: _sentence(Changed(lambda part: Audio(part.samples * np.float32("nan"), part.rate)))),
    ("click", lambda: KIT.test_no_part_begins_or_ends_with_a_click(Changed(with_offset), OPTIONS, ROW)),
    ("short", lambda: KIT.test_every_word_of_a_long_text_is_spoken(Short(SETUP), OPTIONS)),
    ("short", lambda: KIT.test_longer_text_takes_longer(Short(SETUP), OPTIONS)),
    ("speed", lambda: KIT.test_twice_the_speed_is_about_half_as_long(Slow(SETUP), ROW, OPTIONS)),
    ("speed", lambda: KIT.test_both_ends_of_its_speed_range_are_spoken(Slow(SETUP), ROW, OPTIONS)),
    ("state", lambda: KIT.test_two_threads_get_what_one_gets(Once(SETUP), OPTIONS)),
    ("voices", lambda: KIT.test_every_voice_of_the_row_speaks(OneVoice(SETUP), Row(SPEAKS, replace(SPEAK, voices=(BELL,))))),
]  # fmt: skip


def _sentence(backend: TonesSynthesizer) -> None:
    KIT.test_a_sentence_is_clean_mono_audio_at_the_rate_of_the_row(backend, ROW, OPTIONS)


@pytest.mark.parametrize("check", [check for _, check in FAULTY], ids=[f"{name}-{number}" for number, (name, _) in enumerate(FAULTY)])
def test_a_faulty_synthesizer_fails(check: Callable[[], None]) -> None:
    with pytest.raises(FAILS):
        check()


# -- Recognizers

HEARS = TranscriberConformance()


class Reader(TonesTranscriber):
    """Changes the items of a result."""

    def __init__(self, change: Callable[[list[TranscriptInfo | Segment]], Sequence[TranscriptInfo | Segment]]) -> None:
        self._change = change

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        return iter(self._change(list(super().transcribe(audio, options))))


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    text = "Ever tried. Ever failed. No matter."
    said = concat(tones().synthesize(text, OPTIONS), 24_000)
    return Spoken(concat([silence(0.5, 16_000), said, silence(0.5, 16_000)], 16_000), text)


def late_segment(items: list[TranscriptInfo | Segment]) -> list[TranscriptInfo | Segment]:
    return [replace(item, end=item.end + 60) if isinstance(item, Segment) else item for item in items]


@pytest.mark.parametrize(
    "change",
    [
        lambda items: items[1:],
        lambda items: items[:1],
        late_segment,
        lambda items: [*items, *items[1:]],
        lambda items: [replace(items[0], language="Klingon"), *items[1:]],
        lambda items: [replace(items[0], duration=1.0), *items[1:]],
    ],
    ids=["no info", "no text", "beyond the end", "twice", "no language", "duration"],
)
def test_a_faulty_recognizer_fails(change: Callable[[Any], Any], spoken: Spoken) -> None:
    HEARS.test_the_words_of_a_recording_are_returned(TonesTranscriber(Setup(LISTEN, Path())), spoken, 0.0)
    with pytest.raises(FAILS):
        HEARS.test_the_words_of_a_recording_are_returned(Reader(change), spoken, 0.0)


def test_a_recognizer_that_promises_a_translation_has_to_make_one(spoken: Spoken) -> None:
    backend = TonesTranscriber(Setup(LISTEN, Path()))
    with pytest.raises(pytest.skip.Exception):
        HEARS.test_a_translation_is_made(backend, Row(LISTENS, LISTEN), spoken)
    with pytest.raises(FAILS):
        HEARS.test_a_translation_is_made(backend, Row(LISTENS, replace(LISTEN, translates=True)), spoken)


# -- Batches


class Choir(TonesSynthesizer):
    """Speaks many pieces in one call."""

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Audio | SpeechError]:
        return [concat(self.synthesize(utterance.text, utterance.options), 24_000) for utterance in utterances]


class Backwards(Choir):
    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Audio | SpeechError]:
        return super().synthesize_batch(utterances)[::-1]


class TestBatches(BatchSynthesizerConformance):
    """The kit over a backend that speaks many pieces in one call."""

    plugin = Plugin(replace(SPEAKS, batch=4), (SPEAK,))

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Choir:
        return Choir(SETUP)


def test_a_faulty_batch_fails() -> None:
    kit = BatchSynthesizerConformance()
    pieces = [Utterance(text, OPTIONS) for text in kit.texts]
    with pytest.raises(FAILS):
        kit.test_pieces_come_back_in_order(Backwards(SETUP), pieces, ROW)


# -- Language models

ANSWERS = TextGeneratorConformance()


class Parrot:
    """Repeats words up to the limit of tokens, after changing its chunks."""

    def __init__(self, change: Callable[[list[Any]], list[Any]] = lambda chunks: chunks) -> None:
        self._change = change

    def load(self) -> None:
        pass

    def generate(self, request: Any) -> Iterator[Any]:
        if not isinstance(request.get("messages", [{"role": ""}]), list) or not all("role" in m for m in request.get("messages", [])):
            raise InvalidValue("no", param="messages")
        if request.get("messages") == []:
            raise InvalidValue("no", param="messages")
        if not isinstance(request["temperature"], (int, float)):
            raise InvalidValue("no", param="temperature")
        if request["max_tokens"] < 1:
            raise InvalidValue("no", param="max_tokens")
        if sum(len(str(message["content"])) for message in request.get("messages", [])) > 10_000:
            raise ContextOverflow("no", param="messages")
        return iter(self._change(list(self._chunks(request))))

    def _chunks(self, request: Any) -> Iterator[Any]:
        yield {}
        count = request["max_tokens"]
        for _ in range(count):
            choice = {"text": " word"} if "prompt" in request else {"delta": {"content": " word"}}
            yield {"choices": [{**choice, "finish_reason": None}]}
        last: dict[str, Any] = {"text": ""} if "prompt" in request else {"delta": {}}
        yield {"choices": [{**last, "finish_reason": "length"}]}
        asked = len(str(request.get("prompt", "x")).split())
        yield {"choices": [], "usage": {"prompt_tokens": asked, "completion_tokens": count, "total_tokens": asked + count}}


class Closing(Parrot):
    """The same, as a generator: it can be closed."""

    def generate(self, request: Any) -> Iterator[Any]:
        chunks = super().generate(request)

        def given() -> Iterator[Any]:
            yield from chunks

        return given()


class Tireless(Closing):
    """Works on in a thread of its own when nobody reads any more."""

    def __init__(self) -> None:
        super().__init__()
        self.stop = threading.Event()

    def generate(self, request: Any) -> Iterator[Any]:
        threading.Thread(target=self._work, daemon=True).start()
        return super().generate(request)

    def _work(self) -> None:
        while not self.stop.is_set():
            sum(range(10_000))


class TestLanguageModel(TextGeneratorConformance):
    """The kit over a language model that is not one."""

    plugin = Plugin(replace(SPEAKS, task=Task.LLM), (replace(SPEAK, task=Task.LLM),))

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Closing:
        return Closing()


@pytest.mark.parametrize(
    "change",
    [
        lambda chunks: chunks[:-1],
        lambda chunks: [*chunks[:-2], chunks[-1]],
        lambda chunks: [chunks[0], *chunks[-2:]],
        lambda chunks: [*chunks[:-1], {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 9}}],
        lambda chunks: chunks[:1],
    ],
    ids=["no usage", "no end", "no text", "wrong sum", "nothing"],
)
def test_a_faulty_language_model_fails(change: Callable[[list[Any]], list[Any]]) -> None:
    ANSWERS.test_a_conversation_is_answered(Closing())
    with pytest.raises(FAILS):
        ANSWERS.test_a_conversation_is_answered(Parrot(change))


def test_a_language_model_that_ignores_its_limit_or_works_on_fails() -> None:
    with pytest.raises(FAILS):
        ANSWERS.test_the_limit_of_tokens_is_kept(Parrot(lambda chunks: [*chunks[:2], *chunks[1:]][:-1] + [usage_of(2)]))
    tireless = Tireless()
    try:
        with pytest.raises(FAILS, match="the process still uses"):
            ANSWERS.test_an_answer_that_is_closed_stops(tireless)
    finally:
        tireless.stop.set()


def usage_of(count: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": 1 + count}}


# -- Rows


def test_what_is_not_installed_or_has_no_weights_is_skipped_with_the_command(tmp_path: Path) -> None:
    absent = replace(SPEAKS, requires=("surely_no_such_module",), install="pip install it")
    with pytest.raises(pytest.skip.Exception, match="tones/speak needs surely_no_such_module: pip install it"):
        load(Row(absent, SPEAK), tmp_path)
    with pytest.raises(pytest.skip.Exception, match="needs surely-no-such-program"):
        load(Row(replace(SPEAKS, programs=("surely-no-such-program",)), SPEAK), tmp_path)
    joe = next(model for model in catalog.own_models() if model.id == "piper/en_US-joe-medium")
    with pytest.raises(pytest.skip.Exception, match="open-speech models pull piper/en_US-joe-medium"):
        load(Row(replace(SPEAKS, name="piper"), joe), tmp_path)


def plugin_checks(backend: BackendEntry, *models: ModelEntry) -> PluginConformance:
    class Checks(PluginConformance):
        plugin = Plugin(backend, models)

    return Checks()


def test_a_plugin_with_a_wrong_entry_or_row_fails() -> None:
    plugin_checks(replace(SPEAKS, extra=""), SPEAK).test_every_model_has_a_valid_row()
    with pytest.raises(AssertionError):
        plugin_checks(replace(SPEAKS, extra="x")).test_the_backend_has_a_valid_entry()
    with pytest.raises(AssertionError):
        plugin_checks(SPEAKS).test_every_model_has_a_valid_row()
    with pytest.raises(AssertionError):
        plugin_checks(SPEAKS, replace(SPEAK, licence="")).test_every_model_has_a_valid_row()


def test_a_plugin_that_is_not_installed_fails() -> None:
    with pytest.raises(AssertionError, match="is the package installed"):
        plugin_checks(replace(SPEAKS, name="acme"), SPEAK).test_the_entry_point_leads_to_the_plugin()


def test_a_class_without_a_runner_fails() -> None:
    with pytest.raises(AssertionError):
        plugin_checks(replace(SPEAKS, name="acme"), SPEAK).test_the_class_and_its_runner_can_be_imported()


def test_an_engine_that_is_imported_too_early_fails() -> None:
    plugin_checks(SPEAKS, SPEAK).test_no_engine_is_imported_before_it_is_loaded()
    with pytest.raises(AssertionError):
        plugin_checks(replace(SPEAKS, requires=("numpy",)), SPEAK).test_no_engine_is_imported_before_it_is_loaded()


TESTS = """
from open_speech.testing import PluginConformance, SynthesizerConformance
from acme_speech import PLUGIN

class TestPlugin(PluginConformance):
    plugin = PLUGIN

class TestAcme(SynthesizerConformance):
    plugin = PLUGIN
    speech = False
"""


def test_the_tests_of_a_package_are_a_few_lines(tmp_path: Path) -> None:
    runner = (
        "from runners import tones\n"
        "from runners.wiring.bento_service import Resources, tts_service\n"
        "class Speaker(tones.TonesSynthesizer):\n    pass\n"
        "Runner = tts_service('{name}', Speaker, Resources())\n"
    )
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann", runner=runner)
    (tmp_path / "test_acme.py").write_text(TESTS, encoding="utf-8")
    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path / "test_acme.py"))
    assert done.returncode == 0, done.stdout
    assert "12 passed, 3 skipped" in done.stdout
