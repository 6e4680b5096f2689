"""The hearing of a session by effects made by hand, with the tones pair behind it: what is said as tones comes back as text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from open_speech.api.realtime.effects import (
    AppendAudio,
    AudioFormat,
    Begin,
    Clear,
    Commit,
    ConfigureInput,
    Delta,
    NotTranscribed,
    Report,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TextReady,
    Transcribed,
    TranscribeItem,
    TranscriptionSettings,
    TurnRules,
)
from open_speech.api.realtime.input_driver import InputDriver, InputEffect
from open_speech.api.realtime.wire_audio import encoded
from open_speech.audio import Audio, concat, resample, silence, to_pcm16
from open_speech.backends import ModelEntry, Setup, SpeechOptions, Task
from open_speech.codecs import decode
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.recognition.live.live_input import steps
from runners.tones import TonesSynthesizer
from runners.wiring.engine import local_engine
from tests.api.realtime.talking import talking_engine
from tests.waiting import PATIENCE_S, eventually

TEXT = "One two three."
TRANSCRIPTION = TranscriptionSettings(model="tones/listen")
PCM = AudioFormat()


@pytest.fixture
def engine(tones_settings: Settings) -> Engine:
    return local_engine(tones_settings)


def spoken(text: str = TEXT, rate: int = 24_000) -> Audio:
    """Tones between two silences."""
    voice = TonesSynthesizer(Setup(ModelEntry("tones", "tones", Task.TTS, "MIT", ("en",)), Path()))
    sound = concat(voice.synthesize(text, SpeechOptions("tone")), 24_000)
    return resample(concat([silence(0.2, 24_000), sound, silence(0.2, 24_000)], 24_000), rate)


def wire(audio: Audio, form: AudioFormat = PCM) -> bytes:
    return b"".join(data for data, _ in encoded(audio, form))


def heard(engine: Engine, script: Callable[[InputDriver, list[Report]], Awaitable[None]]) -> list[Report]:
    """Run a script of effects; give what was reported."""

    async def scene() -> list[Report]:
        reports: list[Report] = []

        def report(made: Report) -> list[InputEffect]:
            reports.append(made)
            return []

        hearing = InputDriver(engine.recognition, engine.registry.defaults.stt_model, report)
        running = asyncio.create_task(hearing.run())
        try:
            await asyncio.wait_for(script(hearing, reports), PATIENCE_S)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return reports

    return asyncio.run(scene())


async def until(reports: list[Report], count: int) -> None:
    while sum(isinstance(report, (Transcribed, NotTranscribed)) for report in reports) < count:
        await asyncio.sleep(0.005)


def text_of(reports: list[Report]) -> dict[str, str]:
    return {report.item_id: report.text for report in reports if isinstance(report, Transcribed)}


FORMATS = [PCM, *(AudioFormat("audio/pcm", rate) for rate in (16_000, 48_000))]
FORMATS += [AudioFormat("audio/pcmu", 8000), AudioFormat("audio/pcma", 8000)]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.type} {form.rate}")
@pytest.mark.parametrize("step", [1000, 1 << 24])
def test_a_commit_is_transcribed_whatever_the_format_and_the_pieces(engine: Engine, form: AudioFormat, step: int) -> None:
    sound = spoken(rate=form.rate)
    data = wire(sound, form)

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        hearing.put(ConfigureInput(form, None))
        for start in range(0, len(data), step):
            hearing.put(AppendAudio(data[start : start + step]))
            await hearing.settled()
        hearing.put(Commit("a", 0, round(sound.seconds * 1000), TRANSCRIPTION))
        await until(reports, 1)

    reports = heard(engine, script)
    assert text_of(reports) == {"a": TEXT}
    assert next(report.seconds for report in reports if isinstance(report, Transcribed)) == pytest.approx(sound.seconds, abs=0.001)


def test_an_item_that_is_begun_early_ends_with_the_same_text_and_its_deltas_are_that_text(engine: Engine) -> None:
    sound = spoken("A much longer text that takes a while to say.")
    data = wire(sound)

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        hearing.put(ConfigureInput(PCM, None))
        hearing.put(Begin("a", 0, TRANSCRIPTION))
        for start in range(0, len(data), 9600):
            hearing.put(AppendAudio(data[start : start + 9600]))
            await hearing.settled()
        hearing.put(Commit("a", 0, round(sound.seconds * 1000), TRANSCRIPTION))
        await until(reports, 1)

    reports = heard(engine, script)
    assert text_of(reports) == {"a": "A much longer text that takes a while to say."}
    assert "".join(report.text for report in reports if isinstance(report, Delta)) == text_of(reports)["a"]


def test_two_commits_are_two_texts(engine: Engine) -> None:
    first, second = spoken("The first."), spoken("The second.")
    ends = [round(first.seconds * 1000), round((first.seconds + second.seconds) * 1000)]

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        hearing.put(ConfigureInput(PCM, None))
        hearing.put(AppendAudio(wire(first)))
        hearing.put(Commit("a", 0, ends[0], TRANSCRIPTION))
        hearing.put(AppendAudio(wire(second)))
        hearing.put(Commit("b", *ends, TRANSCRIPTION))
        await until(reports, 2)

    assert text_of(heard(engine, script)) == {"a": "The first.", "b": "The second."}


def test_what_was_cleared_is_not_heard(engine: Engine) -> None:
    sound = spoken("The first.")
    start, end = (round(seconds * 1000) for seconds in (sound.seconds, 2 * sound.seconds))

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        hearing.put(ConfigureInput(PCM, None))
        hearing.put(Begin("a", 0, TRANSCRIPTION))
        hearing.put(AppendAudio(wire(sound)))
        hearing.put(Clear())
        hearing.put(AppendAudio(wire(sound)))
        hearing.put(Commit("b", start, end, TRANSCRIPTION))
        await until(reports, 1)

    assert text_of(heard(engine, script)) == {"b": "The first."}


def test_a_commit_that_nobody_transcribes_reports_nothing(engine: Engine) -> None:
    sound = spoken()

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        hearing.put(ConfigureInput(PCM, None))
        hearing.put(AppendAudio(wire(sound)))
        hearing.put(Commit("a", 0, round(sound.seconds * 1000), None))
        await hearing.settled()
        await asyncio.sleep(0.05)

    assert heard(engine, script) == []


@pytest.mark.parametrize("begun", [False, True])
def test_a_model_that_is_not_there_is_told_once_for_each_item(engine: Engine, begun: bool) -> None:
    nobody = TranscriptionSettings(model="nobody")

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        hearing.put(ConfigureInput(PCM, None))
        if begun:
            hearing.put(Begin("a", 0, nobody))
        hearing.put(AppendAudio(wire(spoken())))
        hearing.put(Commit("a", 0, 500, nobody))
        hearing.put(TranscribeItem("b", wire(spoken()), PCM, nobody))
        await until(reports, 2)
        await asyncio.sleep(0.05)

    reports = heard(engine, script)
    assert [(report.item_id, report.error.code) for report in reports if isinstance(report, NotTranscribed)] == [
        ("a", "model_not_found"), ("b", "model_not_found"),
    ]  # fmt: skip
    assert len(reports) == 2


def test_sound_that_did_not_come_through_the_buffer_is_transcribed(engine: Engine) -> None:
    form = AudioFormat("audio/pcmu", 8000)

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        hearing.put(TranscribeItem("a", wire(spoken(rate=8000), form), form, TRANSCRIPTION))
        await until(reports, 1)

    assert text_of(heard(engine, script)) == {"a": TEXT}


def test_a_client_that_leaves_while_its_item_is_decoded_leaves_no_request_behind(engine: Engine) -> None:
    form = AudioFormat("audio/pcmu", 8000)
    line = engine.pool.admission.lines["tones-stt"]

    async def scene() -> int:
        driver = InputDriver(engine.recognition, engine.registry.defaults.stt_model, lambda report: [])
        running = asyncio.create_task(driver.run())
        driver.put(TranscribeItem("a", bytes(600 * 8000), form, TRANSCRIPTION))
        await eventually(lambda: line.under_way > 0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.sleep(0)  # what was cancelled ends
        return line.under_way

    assert asyncio.run(scene()) == 0


def test_minutes_of_sound_at_once_do_not_hold_the_event_loop(engine: Engine) -> None:
    data = to_pcm16(silence(300, 24_000))

    async def script(hearing: InputDriver, reports: list[Report]) -> None:
        await engine.recognition.detector()
        hearing.put(ConfigureInput(PCM, TurnRules()))
        hearing.put(AppendAudio(data))
        loop, longest = asyncio.get_running_loop(), 0.0
        settled = asyncio.create_task(hearing.settled())
        while not settled.done():
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)
        assert longest < 0.2

    assert heard(engine, script) == []


def session_of_turns(hears: TranscriptionSettings, reports: list[Report]) -> Callable[[Report], list[InputEffect]]:
    """Play the part of a session: an item begins with each turn and is committed with its end."""
    starts: list[int] = []

    def report(made: Report) -> list[InputEffect]:
        reports.append(made)
        match made:
            case SpeechStarted(at_ms):
                starts.append(at_ms)
                return [Begin(str(len(starts)), at_ms, hears)]
            case SpeechStopped(at_ms):
                return [Commit(str(len(starts)), starts[-1], at_ms, hears)]
            case _:
                return []

    return report


def turns_of(engine: Engine, clip: Audio, hears: TranscriptionSettings) -> list[Report]:
    """Append a clip of real speech at once; return what was reported until each of its turns was answered."""

    async def scene() -> list[Report]:
        reports: list[Report] = []
        driver = InputDriver(engine.recognition, engine.registry.defaults.stt_model, session_of_turns(hears, reports))
        running = asyncio.create_task(driver.run())
        driver.put(ConfigureInput(PCM, TurnRules(silence_duration_ms=200)), AppendAudio(wire(clip)))
        await driver.settled()
        count = sum(isinstance(report, SpeechStarted) for report in reports)
        await asyncio.wait_for(until(reports, count), PATIENCE_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return reports

    return asyncio.run(scene())


@pytest.fixture
def beckett(speech_clips: dict[str, Path]) -> Audio:
    """Ten seconds of speech with pauses, and a second of silence."""
    return concat([decode(speech_clips["beckett"].read_bytes(), 24_000, max_seconds=60), silence(1, 24_000)], 24_000)


@pytest.mark.weights
def test_the_effects_of_a_turn_are_performed_before_the_next_turn_of_the_same_append(engine: Engine, beckett: Audio) -> None:
    """An item whose model is unknown is answered when its commit is performed."""
    reports = turns_of(engine, beckett, TranscriptionSettings(model="nobody"))
    kinds = [kind for report in reports if (kind := type(report)) not in (SpeechPaused, SpeechResumed)]
    assert kinds == [SpeechStarted, SpeechStopped, NotTranscribed] * (len(kinds) // 3)
    assert len(kinds) >= 6


@pytest.mark.weights
def test_turns_of_real_speech_are_told_and_transcribed_in_order(default_weights: None, weights_root: Path, beckett: Audio) -> None:
    engine = local_engine(Settings(os_models_dir=weights_root, os_offline=True, tts_backends=("tones-tts",)))
    reports = turns_of(engine, beckett, TranscriptionSettings(model="whisper-1", language="en"))
    turns = [type(report) for report in reports if isinstance(report, (SpeechStarted, SpeechStopped))]
    assert turns == [SpeechStarted, SpeechStopped] * (len(turns) // 2)
    said = text_of(reports)
    assert "no matter" in " ".join(said[str(number + 1)] for number in range(len(said))).lower()
    assert np.all(np.diff([report.at_ms for report in reports if isinstance(report, (SpeechStarted, SpeechStopped))]) >= 0)


def test_the_text_of_a_pause_is_reported_while_the_turn_goes_on(tones_settings: Settings) -> None:
    """The turn ends after two seconds of silence; its text is known before that."""
    engine = talking_engine(tones_settings)

    async def scene() -> list[Report]:
        reports: list[Report] = []
        driver = InputDriver(engine.recognition, engine.registry.defaults.stt_model, session_of_turns(TRANSCRIPTION, reports))
        running = asyncio.create_task(driver.run())
        driver.put(ConfigureInput(PCM, TurnRules(silence_duration_ms=2000)))

        async def hears(audio: Audio) -> None:
            for part in steps(wire(audio), 24_000, 0.1, width=2):
                driver.put(AppendAudio(part))
                await driver.settled()
                await asyncio.sleep(0.005)

        await hears(concat([spoken("One two"), silence(0.5, 24_000)], 24_000))
        await eventually(lambda: TextReady("1", "One two") in reports)
        await hears(concat([spoken("three."), silence(0.5, 24_000)], 24_000))
        await eventually(lambda: TextReady("1", "One two three.") in reports)
        assert not any(isinstance(report, SpeechStopped) for report in reports)
        await hears(silence(2, 24_000))
        await asyncio.wait_for(until(reports, 1), PATIENCE_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return reports

    reports = asyncio.run(scene())
    kinds = [type(report) for report in reports if not isinstance(report, Delta)]
    assert kinds == [SpeechStarted, *([SpeechPaused, TextReady, SpeechResumed] * 2)[:5], SpeechStopped, Transcribed]
    assert text_of(reports) == {"1": "One two three."}
