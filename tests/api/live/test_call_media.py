from __future__ import annotations

import asyncio

import numpy as np
import pytest

from open_speech.api.live.call_media import LEAD_S, CallInput, CallOutput
from open_speech.api.live.effects import Samples
from open_speech.audio import Audio
from open_speech.webrtc.frames import FRAME, FRAME_S, RATE
from open_speech.webrtc.playback import Playback

TICK = RATE // 10
SPEECH = np.full(TICK, 0.5, np.float32)
SILENCE = np.zeros(TICK, np.float32)


class Call:
    """The output of a call, and what its client hears."""

    def __init__(self) -> None:
        self.playback = Playback()
        self.output = CallOutput(self.playback)

    def play(self, *blocks: Samples) -> list[bool]:
        """Queue blocks of 100 ms in real time; return which frames are loud."""
        return [loud for block in blocks for loud in (self.output.play(block), self.hear(TICK // FRAME))[1]]

    def hear(self, frames: int) -> list[bool]:
        heard = [self.playback.frame() for _ in range(frames)]
        return [frame is not None and bool(frame.any()) for frame in heard]


def test_speech_is_heard_as_a_whole_after_a_short_lead() -> None:
    heard = Call().play(SILENCE, SPEECH, SPEECH, SPEECH, SILENCE, SILENCE)
    lead = round(LEAD_S / FRAME_S)
    assert heard == [False] * (5 + lead) + [True] * 15 + [False] * (10 - lead)


def test_a_pause_within_speech_keeps_its_length() -> None:
    heard = Call().play(SPEECH, SILENCE, SPEECH, SILENCE)
    assert [index for index, loud in enumerate(heard) if loud] == [*range(3, 8), *range(13, 18)]


def test_a_block_that_is_late_by_less_than_the_lead_leaves_no_gap() -> None:
    call = Call()
    heard = call.play(SPEECH) + call.hear(2) + call.play(SPEECH)
    assert heard[3:12] == [True] * 9


def test_a_queue_that_has_grown_becomes_short_in_the_next_pause() -> None:
    call = Call()
    for _ in range(10):
        call.output.play(SPEECH)
    assert call.playback.waiting_s == pytest.approx(1.0 + LEAD_S)
    call.play(*[SILENCE] * 11)
    assert call.playback.waiting_s == 0


def test_what_is_held_goes_on_later_and_what_is_cleared_does_not() -> None:
    call = Call()
    call.play(SPEECH)
    call.output.hold(True)
    assert call.hear(10) == [False] * 10
    call.output.hold(False)
    assert call.hear(10) == [True] * 3 + [False] * 7
    call.play(SPEECH)
    call.output.clear()
    assert call.hear(10) == [False] * 10
    assert call.play(SPEECH, SILENCE)[3:8] == [True] * 5


class Peer:
    """The track of a client that sends the same again and again."""

    def __init__(self, rate: int) -> None:
        self.rate = rate

    async def audio(self) -> Audio:
        return Audio(np.full(self.rate // 50, 0.25, np.float32), self.rate)


@pytest.mark.parametrize("rate", [48_000, 8_000])
def test_audio_of_the_client_is_in_the_format_of_the_session(rate: int) -> None:
    async def run() -> bytes:
        track = CallInput(Peer(rate))
        return b"".join([await track.next() for _ in range(50)])

    heard = np.frombuffer(asyncio.run(run()), "<i2")
    assert 0.8 * RATE <= len(heard) <= RATE
    assert heard[len(heard) // 2] == pytest.approx(8192, abs=40)
