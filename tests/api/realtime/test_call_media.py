from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
import pytest

from open_speech.api.realtime.call_media import CallInput, CallMedia
from open_speech.api.realtime.effects import AudioFormat, PauseOutput, Played, Respond, ResumeOutput, SpeakText
from open_speech.api.realtime.settings import AudioConfig, Config, Input, Law, Output
from open_speech.audio import Audio, to_pcm16
from open_speech.errors import InvalidRequest
from open_speech.webrtc.playback import Playback


class Peer:
    """The audio of a peer, from lists."""

    def __init__(self) -> None:
        self.playback = Playback(ahead_s=1.0)
        self.heard: asyncio.Queue[Audio] = asyncio.Queue()

    async def audio(self) -> Audio:
        return await self.heard.get()


class Call:
    def __init__(self, input_: Input | None = None) -> None:
        self.peer = Peer()
        config = Config(audio=AudioConfig(input=input_ or Input(), output=Output(voice="tone")))
        self.media, self.input = CallMedia(self.peer.playback), CallInput(self.peer, lambda: config)
        self.events: list[tuple[str, str]] = []
        self.media.on_event = lambda event: self.events.append((event["type"].rpartition(".")[2], event["response_id"]))

    def respond(self, response_id: str, seconds: float, form: AudioFormat | None = None) -> None:
        form = form or AudioFormat()
        self.media.respond(Respond(response_id, SpeakText("x"), True, form, None, None, 1.0))
        data = to_pcm16(Audio(np.full(round(seconds * form.rate), 0.5, np.float32), form.rate))
        delta = base64.b64encode(data if form.type == "audio/pcm" else data[: len(data) // 2]).decode()
        event = {"type": "response.output_audio.delta", "response_id": response_id, "item_id": "item", "delta": delta}
        assert not self.media.passes(event)

    def end(self, response_id: str) -> None:
        assert self.media.passes({"type": "response.output_audio.done", "response_id": response_id})
        assert self.media.passes({"type": "response.done", "response": {"id": response_id}})

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.peer.playback.frame()


CLEARED = {"type": "output_audio_buffer.cleared", "response_id": "b"}


def test_a_response_is_played_and_its_playback_reported() -> None:
    call = Call()
    call.respond("a", 0.2)
    call.end("a")
    call.play(0.1)
    assert call.media.played() == [Played("a", pytest.approx(100, abs=2))]
    call.play(0.2)
    assert call.events == [("started", "a"), ("stopped", "a")]
    (whole,) = call.media.played()
    assert whole.ms >= 200
    assert call.media.played() == []


def test_the_request_to_clear_is_answered_by_one_event_for_each_response() -> None:
    call = Call()
    call.respond("a", 0.5)
    call.respond("b", 0.5)
    call.play(0.1)
    assert not call.media.passes(CLEARED)
    call.media.report_cleared()
    assert call.events == [("started", "a"), ("cleared", "a"), ("cleared", "b")]
    assert call.media.passes(CLEARED)  # nothing is played: the event of the session is the answer


def test_a_stopped_response_is_reported_before_the_events_that_follow() -> None:
    call = Call()
    call.respond("b", 0.5)
    call.media.clear("b")
    assert call.events == []
    assert call.media.passes({"type": "conversation.item.truncated"})
    assert call.events == [("cleared", "b")]
    assert not call.media.passes(CLEARED)  # as in an answer to `output_audio_buffer.clear`
    call.media.report_cleared()
    assert call.events == [("cleared", "b")]


def test_a_response_is_held_and_goes_on() -> None:
    call = Call()
    call.respond("a", 0.5)
    call.play(0.1)
    call.media.hold(PauseOutput("other"))
    assert not call.peer.playback.is_paused
    call.media.hold(PauseOutput("a"))
    call.play(0.3)
    assert call.media.played() == [Played("a", pytest.approx(100, abs=2))]
    call.media.hold(ResumeOutput("a"))
    call.play(0.1)
    assert call.media.played() == [Played("a", pytest.approx(200, abs=2))]


def test_audio_of_a_response_that_was_stopped_is_not_played() -> None:
    call = Call()
    assert not call.media.passes({"type": "response.output_audio.delta", "response_id": "x", "item_id": "i", "delta": "AAAA"})
    assert call.peer.playback.is_idle


def test_g711_is_played_as_well() -> None:
    call = Call()
    call.respond("a", 0.5, AudioFormat("audio/pcmu", 8000))
    call.play(0.3)
    assert call.events == [("started", "a")]


@pytest.mark.parametrize("format_", [Input().format, Law(type="audio/pcmu")])
def test_audio_of_the_client_is_appended_in_the_format_of_the_session(format_: Any) -> None:
    async def run() -> None:
        call = Call(Input(format=format_))
        rate, width = (24_000, 2) if format_.type == "audio/pcm" else (8000, 1)
        size = 0
        for _ in range(50):
            call.peer.heard.put_nowait(Audio(np.zeros(960, np.float32), 48_000))
            message = await call.input.next()
            assert message.body["type"] == "input_audio_buffer.append"
            size += len(message.body["audio"])
        kept_s = 0.16  # the resampler's filter still holds the last part: 40 ms at 24 kHz, more at lower rates
        assert rate * width * (1 - kept_s) <= size <= rate * width

    asyncio.run(run())


def test_audio_in_events_is_refused_and_other_events_are_taken() -> None:
    media = Call().media
    assert isinstance(media.checked('{"type":"input_audio_buffer.append","audio":""}').error, InvalidRequest)
    assert media.checked('{"type":"response.create"}').error is None


def test_synthesis_waits_while_enough_is_queued() -> None:
    async def run() -> None:
        call = Call()
        call.respond("a", 1.2)
        waiting = asyncio.create_task(call.media.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        call.play(0.3)
        await asyncio.wait_for(waiting, 5)

    asyncio.run(run())
