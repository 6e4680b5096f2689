"""How long after the start of speech an answer stops, in virtual time with real speech detection."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
import soundfile

from open_speech.api.realtime.connection import Connection
from open_speech.api.realtime.opening import SessionRequest, session_of
from open_speech.audio import Audio, resample, to_pcm16
from open_speech.dialogue.language_models import language_models
from open_speech.webrtc.frames import FRAME, FRAME_S, RATE
from tests.contract.live_server import Runner, live_app
from tests.contract.virtual_call import (
    TEXT,
    VirtualPeer,
    decided_s,
    interrupted_live_call,
    interrupted_realtime_call,
    running,
)
from tests.waiting import eventually

DATA = Path(__file__).parents[1] / "data"
CLIPS = ("repeat_fox", "repeat_attention", "pause_amiable", "pause_cold_hearted")
STEP, BEFORE = 960, 50
"""Bytes of 20 ms at 24 kHz, and how many such steps of silence are before the recording."""
MOST_S = 0.2
"""Maximum seconds from the decision of the detector until an answer is silent."""


def recording(name: str) -> Audio:
    samples, rate = soundfile.read(DATA / f"{name}.wav", dtype="float32")
    return resample(Audio(samples[: round(2.5 * rate)], rate), RATE)


def error_of(event: dict[str, Any]) -> str | None:
    """Return the id of the client's event that an error is about."""
    return event["error"].get("event_id") if event["type"] == "error" else None


@pytest.mark.parametrize("name", CLIPS)
def test_an_answer_of_a_realtime_call_stops_in_time(tmp_path: Path, name: str) -> None:
    app = live_app(Runner("Stop it, please."), tmp_path)
    delay = asyncio.run(interrupted_realtime_call(app.state.engine, app.state.settings, recording(name)))
    assert delay.stopped_s - delay.decided_s <= MOST_S, delay


@pytest.mark.parametrize("name", CLIPS)
def test_an_answer_of_a_live_call_stops_in_time(tmp_path: Path, name: str) -> None:
    app = live_app(Runner("Stop it, please."), tmp_path)
    models = language_models(app)
    delay = asyncio.run(interrupted_live_call(app.state.engine, app.state.settings, models, recording(name)))
    assert delay.stopped_s - delay.decided_s <= MOST_S, delay


@pytest.mark.parametrize("name", CLIPS)
def test_the_client_of_a_websocket_is_informed_in_time_and_no_audio_follows(tmp_path: Path, name: str) -> None:
    """It plays the audio itself, and stops at `input_audio_buffer.speech_started`."""
    app = live_app(Runner("Stop it, please."), tmp_path)
    engine, settings, audio = app.state.engine, app.state.settings, recording(name)

    async def run() -> tuple[float, float]:
        socket = VirtualPeer()
        connection = Connection(socket, engine, session_of(SessionRequest("realtime", ""), settings, engine, ""), llm=None)
        async with running(connection.run()):
            content = [{"type": "input_text", "text": TEXT}]
            socket.say("conversation.item.create", item={"type": "message", "role": "user", "content": content})
            socket.say("response.create")
            await eventually(lambda: socket.has("response.output_audio.delta"))
            frames = [audio.samples[at : at + FRAME] for at in range(0, len(audio.samples) - FRAME, FRAME)]
            pcm = bytes(STEP * BEFORE) + to_pcm16(resample(audio, 24_000))
            told, since = 0.0, 0
            for number in range(BEFORE + len(frames)):
                data = pcm[number * STEP : (number + 1) * STEP]
                socket.say("input_audio_buffer.append", audio=base64.b64encode(data).decode())
                # An unknown event: its error is the sign that everything before it was processed.
                socket.say("done", event_id=f"{number}")
                await eventually(lambda done=f"{number}": any(error_of(event) == done for event in socket.events))
                if not told and socket.has("input_audio_buffer.speech_started"):
                    told, since = (number + 1 - BEFORE) * FRAME_S, len(socket.events)
            assert told
            assert not any(event["type"] == "response.output_audio.delta" for event in socket.events[since:])
            return told, await decided_s(frames, engine)

    stopped_s, detected_s = asyncio.run(run())
    assert stopped_s - detected_s <= MOST_S
