"""The ends of turns in virtual time: audio is sent as fast as the server takes it, and the server has no engine but its turn detection.

After each piece of audio the client waits for the answer to another event. The server handles an event after all audio before it. The
number of seconds sent so far is therefore the time at which the server has decided, on the clock of the audio.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.dialogue.configurations import Configuration
from benchmarks.dialogue.scoring import MISSED_S, Ends, add_ends
from benchmarks.dialogue.values import Turn
from benchmarks.served import Served
from open_speech.audio import Audio, concat, resample, silence, to_pcm16

RATE = 24_000
PIECE_S = 0.04
BEFORE_S, AFTER_S = 0.5, MISSED_S + 3.0
"""Silence around each turn: after it, enough that a semantic turn ends in any case before the next."""
SETTINGS = {
    "OS_OFFLINE": "true", "STT_BACKENDS": "tones-stt", "STT_MODEL": "tones/listen", "TTS_BACKENDS": "tones-tts", "TTS_MODEL": "tones/speak",
    "TTS_VOICE": "tone",
}  # fmt: skip
ANSWER_S = 60


async def detected(served: Served, configuration: Configuration, turns: Sequence[Turn]) -> list[list[float]]:
    """Return for each turn the times at which its end was decided, in seconds since its beginning."""
    async with connect(f"ws{served.url.removeprefix('http')}/v1/realtime?intent=transcription", max_size=None) as socket:
        await socket.recv()
        await _send(socket, "session.update", session={
            "type": "transcription", "audio": {"input": {"turn_detection": dict(configuration.detection)}},
        })  # fmt: skip
        await socket.recv()
        return [await _ends(socket, turn) for turn in turns]


async def _ends(socket: ClientConnection, turn: Turn) -> list[float]:
    speech = resample(turn.audio, RATE)
    audio = concat([silence(BEFORE_S, RATE), speech, silence(AFTER_S, RATE)], RATE)
    size, found = round(PIECE_S * RATE), []
    for start in range(0, len(audio.samples), size):
        piece = Audio(audio.samples[start : start + size], RATE)
        await _send(socket, "input_audio_buffer.append", audio=base64.b64encode(to_pcm16(piece)).decode())
        if await _stops(socket):
            found.append((start + len(piece.samples)) / RATE - BEFORE_S)
    return found


async def _stops(socket: ClientConnection) -> bool:
    """Wait until the server has processed the audio; return whether it has ended a turn in it."""
    await _send(socket, "conversation.item.retrieve", item_id="none", event_id="sync")
    stopped = False
    while True:
        event = json.loads(await asyncio.wait_for(socket.recv(), ANSWER_S))
        stopped = stopped or event["type"] == "input_audio_buffer.speech_stopped"
        if event["type"] == "error":
            assert event["error"]["event_id"] == "sync", event
            return stopped


async def _send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


def scored(turns: Sequence[Turn], found: Sequence[Sequence[float]]) -> dict[str, Ends]:
    """Return the figures of the two halves of the clips."""
    parts = {"for tuning": Ends(), "held out": Ends()}
    for turn, times in zip(turns, found, strict=True):
        add_ends(parts["held out" if turn.held_out else "for tuning"], turn, times)
    return parts
