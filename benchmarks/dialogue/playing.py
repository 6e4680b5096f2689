"""Plays scenes to a contender in real time, as a user with a microphone and a loudspeaker would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from benchmarks.dialogue import chat
from benchmarks.dialogue.chat import ChatServer
from benchmarks.dialogue.contenders import Contender
from benchmarks.dialogue.scoring import EARLY_S
from benchmarks.dialogue.values import Event, Observed, Scene
from open_speech.audio import Audio, resample, silence

PIECE_S = 0.04
"""A microphone returns a piece at its end."""
HEARD_S = 1.5
"""Seconds of an answer after which the user speaks into it."""
ANSWER_S = 6.0
"""Seconds after a turn in which its answer must have begun."""
LONGEST_S = 25.0
"""Seconds after the user's last sound at which a scene ends in any case."""
GAP_S = 1.0
"""Silence between two scenes."""


class Microphone:
    """A stream of audio in real time."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._began = time.perf_counter()
        self._sent_s = 0.0

    @property
    def now(self) -> float:
        """The time, by `time.perf_counter`, at which the next sample is spoken."""
        return self._began + self._sent_s

    async def say(self, audio: Audio) -> None:
        """Send a clip."""
        samples = resample(audio, self._contender.rate).samples
        size = round(PIECE_S * self._contender.rate)
        for start in range(0, len(samples), size):
            await self._piece(Audio(samples[start : start + size], self._contender.rate))

    async def wait(self, until: Callable[[], bool], longest_s: float) -> bool:
        """Send silence until a condition holds; return False if it does not within `longest_s`."""
        end = self.now + longest_s
        while not until():
            if self.now >= end:
                return False
            await self._piece(silence(PIECE_S, self._contender.rate))
        return True

    async def _piece(self, audio: Audio) -> None:
        self._sent_s += audio.seconds
        await asyncio.sleep(max(0.0, self.now - time.perf_counter()))
        await self._contender.send(audio)


async def play(contender: Contender, server: ChatServer, scenes: Sequence[Scene]) -> list[Observed]:
    """Play all scenes as one conversation; the first one is played twice, because it loads the models, and counts once."""
    microphone = Microphone(contender)
    await microphone.wait(lambda: False, GAP_S)
    played = [await _scene(microphone, contender, server, scene) for scene in (scenes[0], *scenes)]
    return played[1:]


async def _scene(microphone: Microphone, contender: Contender, server: ChatServer, scene: Scene) -> Observed:
    log, observed = contender.log, Observed(scene)
    first_event, first_request, began = len(log.events), len(server.requests), microphone.now
    is_long = scene.beside is not None
    server.say(chat.LONG if is_long else chat.SHORT, chat.SPOKEN_TOKENS_PER_S if is_long else chat.TOKENS_PER_S)
    await microphone.say(scene.turn.audio)
    end = began + scene.turn.end_s - EARLY_S

    def heard() -> float:
        """Return for how many seconds the answer has been heard."""
        sounds = [event.at for event in log.events[first_event:] if event.what == "sound" and event.at >= end]
        return time.perf_counter() - sounds[0] if sounds else 0.0

    def is_over() -> bool:
        return not log.is_active and not log.is_playing

    answered = await microphone.wait(lambda: heard() > 0.0, ANSWER_S)
    if answered and scene.beside is not None:
        await microphone.wait(lambda: heard() >= HEARD_S, HEARD_S + 1)
        observed.beside_at_s = microphone.now - began
        await microphone.say(scene.beside.audio)
        if scene.kind == "interruption":
            server.say(chat.SHORT, chat.TOKENS_PER_S)
            await microphone.wait(lambda: False, ANSWER_S / 2)
    await microphone.wait(is_over, LONGEST_S)
    await microphone.wait(lambda: False, GAP_S)
    events = log.events[first_event:]
    observed.events = [Event(event.what, event.at - began, event.text, event.seconds) for event in events]
    observed.tokens = [(asked - began, first - began) for asked, first in server.requests[first_request:]]
    return observed
