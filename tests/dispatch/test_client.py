from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import numpy as np
import pytest

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, SpeechOptions, TranscribeOptions, Window, WindowResult
from open_speech.dispatch.attempts import ATTEMPTS
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import (
    END,
    Call,
    Frame,
    KeptModels,
    Kind,
    PullModel,
    Question,
    RemoveModel,
    RunnerStatus,
    T,
    UnloadModel,
    audio_frame,
    error_frame,
    transcript_frame,
    window_frame,
)
from open_speech.dispatch.link import RunnerGone
from open_speech.errors import BackendFailed, BackendTimeout, BackendUnavailable, PullNotAllowed, UnknownVoice
from open_speech.security.pull_policy import PullGuard, PullPolicy
from open_speech.transcript import Segment, TranscriptInfo
from tests.waiting import PATIENCE_S

INFO = TranscriptInfo("en", 0.9, 1.0)
SEGMENT = Segment(0.0, 1.0, " hello")

TONE = Audio(np.full(100, 0.5, np.float32), 24_000)
Script = list[Frame | Exception | float]


class ScriptedLink:
    """A runner that answers call by call as the script says: frames, exceptions, and floats for seconds of silence.

    After a call it has an empty status, whatever the script says: a client asks for it between its attempts.
    """

    def __init__(self, *answers: Script) -> None:
        self.answers = list(answers)
        self.closed = 0
        self.calls: list[Call] = []

    async def _play(self) -> AsyncGenerator[bytes, None]:
        try:
            for step in self.answers.pop(0):
                match step:
                    case Frame():
                        yield step.encode()
                    case float():
                        await asyncio.sleep(step)
                    case _:
                        raise step
        finally:
            self.closed += 1

    def call(self, call: Call) -> AsyncGenerator[bytes, None]:
        self.calls.append(call)
        return self._play()

    async def ask(self, question: Question[T]) -> T:
        answers: dict[type, Any] = {UnloadModel: True, KeptModels: {"m": 5}, RunnerStatus: {}}
        if self.calls and isinstance(question, RunnerStatus):
            return cast("T", {})
        async for _ in self._play():
            pass
        return cast("T", answers[type(question)])


def client(*answers: Script, deadline_s: float = 5) -> tuple[RunnerClient, ScriptedLink]:
    link = ScriptedLink(*answers)
    return RunnerClient("toy", link, deadline_s=deadline_s), link


async def _transcribe(runner: RunnerClient) -> str:
    items = [item async for item in runner.transcribe("m", silence(0.1, STT_RATE), TranscribeOptions())]
    assert items[0] == INFO
    return "".join(item.text for item in items if isinstance(item, Segment))


def transcribe(runner: RunnerClient) -> str:
    return asyncio.run(_transcribe(runner))


def hear(runner: RunnerClient) -> WindowResult:
    window = Window(silence(0.1, STT_RATE), TranscribeOptions())
    return asyncio.run(runner.transcribe_window("m", window, caller="me"))


async def _speak(runner: RunnerClient, heard: list[Audio]) -> None:
    async for audio in runner.synthesize("m", "hi", SpeechOptions("v")):
        heard.append(audio)


def speak(runner: RunnerClient, heard: list[Audio]) -> None:
    asyncio.run(_speak(runner, heard))


def test_a_transcription_is_put_together_from_its_frames() -> None:
    runner, _ = client([transcript_frame(INFO), transcript_frame(SEGMENT), END])
    assert transcribe(runner) == " hello"


@pytest.mark.parametrize("death", [[RunnerGone("killed")], [transcript_frame(INFO), RunnerGone("killed")], [transcript_frame(INFO)]])
def test_a_transcription_whose_runner_died_is_repeated(death: Script) -> None:
    runner, _ = client(death, [transcript_frame(INFO), transcript_frame(SEGMENT), END])
    assert transcribe(runner) == " hello"


def test_what_was_given_before_its_runner_died_is_not_given_again() -> None:
    second = Segment(1.0, 2.0, " again")
    runner, _ = client(
        [transcript_frame(INFO), transcript_frame(SEGMENT), RunnerGone("killed")],
        [transcript_frame(INFO), transcript_frame(SEGMENT), transcript_frame(second), END],
    )
    assert transcribe(runner) == " hello again"


@pytest.mark.parametrize("death", [[RunnerGone("killed")], []])
def test_a_window_whose_runner_died_is_heard_again(death: Script) -> None:
    heard = WindowResult("en", 0.9, (SEGMENT,))
    runner, _ = client(death, [window_frame(heard), END])
    assert hear(runner) == heard


def test_a_call_that_kills_every_runner_is_given_up() -> None:
    runner, link = client(*([RunnerGone("killed")] for _ in range(ATTEMPTS)))
    with pytest.raises(BackendUnavailable):
        transcribe(runner)
    assert link.answers == []


def test_an_error_frame_is_raised_as_the_error_it_was() -> None:
    runner, _ = client([error_frame(UnknownVoice("no such voice", param="voice"))])
    with pytest.raises(UnknownVoice, match="no such voice") as caught:
        speak(runner, [])
    assert caught.value.param == "voice"


def test_speech_is_repeated_when_its_runner_died_before_any_sound() -> None:
    runner, _ = client([RunnerGone("killed")], [audio_frame(TONE), END])
    heard: list[Audio] = []
    speak(runner, heard)
    assert len(heard) == 1
    assert heard[0].rate == TONE.rate
    assert np.array_equal(heard[0].samples, TONE.samples)


@pytest.mark.parametrize("cut", [[RunnerGone("killed")], []])
def test_speech_cut_after_its_first_sound_is_an_error_never_a_short_success(cut: Script) -> None:
    runner, _ = client([audio_frame(TONE), *cut], [audio_frame(TONE), END])
    heard: list[Audio] = []
    with pytest.raises(BackendUnavailable):
        speak(runner, heard)
    assert len(heard) == 1


def test_a_silent_runner_is_given_up_at_the_deadline_and_its_stream_closed() -> None:
    runner, link = client([transcript_frame(INFO), 60.0], deadline_s=0.05)
    with pytest.raises(BackendTimeout):
        transcribe(runner)
    assert link.closed == 1


def test_progress_frames_keep_a_slow_load_alive() -> None:
    beat: Script = [0.25, Frame(Kind.PROGRESS, b"{}")]
    runner, _ = client([*beat * 5, transcript_frame(INFO), END], deadline_s=0.8)
    assert transcribe(runner) == ""


@pytest.mark.parametrize("answer", [[END], [Frame(Kind.PROGRESS), END]])
def test_an_answer_without_a_result_is_a_failure(answer: Script) -> None:
    runner, _ = client(answer)
    with pytest.raises(BackendFailed):
        transcribe(runner)


def test_leaving_a_speech_stream_closes_it_at_the_runner() -> None:
    runner, link = client([audio_frame(TONE), 60.0, END])

    async def leave() -> None:
        stream = runner.synthesize("m", "hi", SpeechOptions("v"))
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    assert link.closed == 1


@pytest.mark.parametrize("answer", [[RunnerGone("dead")], [60.0]])
def test_a_runner_that_does_not_answer_has_no_status(answer: Script) -> None:
    runner, _ = client(answer)
    assert asyncio.run(runner.status(within_s=0.05)) is None


@pytest.mark.parametrize("ask", [lambda r: r.load("m")])
def test_a_load_on_a_dead_runner_says_so(ask: Callable[[RunnerClient], Any]) -> None:
    runner, _ = client(*([RunnerGone("dead")] for _ in range(3)))
    with pytest.raises(BackendUnavailable):
        asyncio.run(ask(runner))


def test_a_pull_and_a_removal_are_repeated_when_the_runner_died() -> None:
    dead: Script = [RunnerGone("dead")]
    runner, link = client(dead, [END])
    asyncio.run(runner.pull("m"))
    assert link.calls == [PullModel("m")] * 2
    runner, link = client(dead, [Frame(Kind.JSON, b'{"freed_bytes": 7}'), END])
    assert asyncio.run(runner.remove("m")) == 7
    assert link.calls == [RemoveModel("m")] * 2


def test_the_last_answer_stands_for_a_runner_that_is_busy() -> None:
    async def scene() -> list[dict[str, int]]:
        runner, _ = client([], [1.0])
        return [await runner.kept(within_s=PATIENCE_S), await runner.kept(within_s=0.05)]

    assert asyncio.run(scene()) == [{"m": 5}, {"m": 5}]


@pytest.mark.parametrize(("answer", "kept"), [([], {"m": 5}), ([RunnerGone("dead")], {}), ([1.0], {})])
def test_what_a_runner_keeps_is_unknown_when_it_does_not_answer(answer: Script, kept: dict[str, int]) -> None:
    runner, _ = client(answer)
    assert asyncio.run(runner.kept(within_s=0.05)) == kept


def test_a_runner_that_was_there_a_moment_ago_is_coming_back() -> None:
    async def scenario() -> list[bool]:
        runner, _ = client([RunnerGone("never seen")], [Frame(Kind.JSON, b"{}")], [RunnerGone("dead")], [Frame(Kind.JSON, b"{}")])
        seen = []
        for _ in range(4):
            await runner.status()
            seen.append(runner.is_coming_back)
        return seen

    assert asyncio.run(scenario()) == [False, False, True, False]


def test_progress_of_a_load_is_counted_as_beats() -> None:
    async def scenario() -> int:
        runner, _ = client([Frame(Kind.PROGRESS, b"{}"), Frame(Kind.PROGRESS, b'{"state": "downloading"}'), END])
        await runner.load("m")
        return runner.beats

    assert asyncio.run(scenario()) == 2


class Keeper(ScriptedLink):
    """A runner with the files of some models; counts how often it was asked for them."""

    def __init__(self, *here: str) -> None:
        super().__init__(*([END] for _ in range(8)))
        self.here = here
        self.asked = 0

    async def ask(self, question: Question[T]) -> T:
        assert isinstance(question, KeptModels)
        self.asked += 1
        if "gone" in self.here:
            raise RunnerGone("died")
        return cast("T", dict.fromkeys(self.here, 1))


def guarded(*here: str) -> tuple[RunnerClient, Keeper]:
    link = Keeper(*here)
    guard = PullGuard(PullPolicy(("catalog",)), is_unlisted=lambda model: "/" in model)
    return RunnerClient("x", link, deadline_s=5, pulls=guard), link


def test_no_call_reaches_a_runner_for_a_model_that_may_not_be_downloaded() -> None:
    async def calls() -> None:
        client, link = guarded("acme/other")
        audio = silence(1.0, STT_RATE)
        for work in (
            client.load("acme/whisper"),
            client.pull("acme/whisper"),
            client.transcribe_window("acme/whisper", Window(audio, TranscribeOptions()), caller="a"),
            anext(client.transcribe("acme/whisper", audio, TranscribeOptions())),
            anext(client.synthesize("acme/whisper", "Hi.", SpeechOptions("v"))),
        ):
            with pytest.raises(PullNotAllowed):
                await work
        assert len(link.answers) == 8

    asyncio.run(calls())


def test_what_is_there_is_used_and_looked_for_once_and_the_catalog_never() -> None:
    async def calls() -> None:
        client, link = guarded("acme/whisper")
        for model in ("acme/whisper", "acme/whisper", "kokoro"):
            await client.load(model)
        assert link.asked == 1

    asyncio.run(calls())


def test_a_runner_that_cannot_be_asked_is_unavailable_and_nothing_is_refused_for_good() -> None:
    client, _ = guarded("gone")
    with pytest.raises(BackendUnavailable):
        asyncio.run(client.load("acme/whisper"))
