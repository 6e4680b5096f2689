"""Semantic turns of /v1/audio/stream: the options of the query, and where utterances end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from open_speech.api.live_transcription import messages
from open_speech.api.live_transcription.driver import Driver
from open_speech.api.live_transcription.messages import Command
from open_speech.api.live_transcription.opening import Opened, opened
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest, UnsupportedValue
from open_speech.http.ws_messages import Close, Send
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.registry import Defaults, Registry
from tests.engines import EAR, MODELS, Runner, engine_over
from tests.scripted_turns import ByLevel, LoudFrames, said
from tests.waiting import PATIENCE_S

SEMANTIC = {"model": "ear/one", "turn_detection": "semantic"}


class Outbox:
    """The messages of a stream."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def put(self, effect: Send | Close) -> None:
        if isinstance(effect, Send):
            self.sent.append(dict(effect.message))

    async def calm(self) -> None:
        return


def engine(decider: TurnDecider | None) -> Engine:
    registry = Registry([EAR], MODELS[1:], {"ear": "process"}, Defaults("ear/one", "", ""))
    detector: Any = LoudFrames
    return engine_over(registry, {"ear": RunnerClient("ear", Runner(), deadline_s=5)}, detector=detector, turns=decider)


def decider(**how: Any) -> TurnDecider:
    return TurnDecider("by-level", lambda: ByLevel(**how), deadline_s=PATIENCE_S)


def opening(query: dict[str, str], turns: TurnDecider | None, settings: Settings | None = None) -> Opened:
    return asyncio.run(opened(messages.query(query), engine(turns), settings or Settings()))


def ends(pattern: str, query: dict[str, str], turns: TurnDecider | None, *, step: int = 1 << 24) -> list[float]:
    """Send audio in pieces of `step` bytes, then stop; return the end of each utterance in tenths of a second."""

    async def scene() -> list[float]:
        outbox = Outbox()
        parsed = messages.query(query)
        stream = await opened(parsed, engine(turns), Settings())
        driver = Driver(stream.session, stream.recognizer, stream.input, outbox, rate=parsed.sample_rate)
        data = said(pattern)
        for start in range(0, len(data), step):
            await driver.feed(data[start : start + step])
        await driver.receive(Command.STOP)
        while not stream.session.is_closed:
            await asyncio.sleep(0.01)
        await driver.end()
        return [round(message["at"] * 10) for message in outbox.sent if message.get("state") == "speech_end"]

    return asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))


TALK = "....." + "#" * 10 + "." * 4 + "#" * 5 + "+" * 5 + "." * 15 + "+" * 5 + "#" * 5 + "." * 10 + "+" * 10 + "." * 45


@pytest.mark.parametrize("step", [999, 1 << 24])
def test_an_utterance_ends_at_the_pause_after_a_complete_turn_and_else_after_the_longest_silence(step: int) -> None:
    assert ends(TALK, SEMANTIC, decider(), step=step) == [15, 54, 74]


@pytest.mark.parametrize(("eagerness", "silence"), [("high", 20), ("medium", 40), ("auto", 40), ("low", 80)])
def test_the_eagerness_is_the_longest_silence(eagerness: str, silence: int) -> None:
    query = SEMANTIC | {"eagerness": eagerness}
    assert ends("....." + "+" * 10 + "." * (silence - 1), query, decider()) == []
    assert ends("....." + "+" * 10 + "." * (silence + 1), query, decider()) == [15]


@pytest.mark.parametrize("turns", [None, TurnDecider(), decider(fails=True)], ids=["none", "timer", "fails"])
def test_without_an_answer_the_endpointing_ends_it(turns: TurnDecider | None) -> None:
    query = {"model": "ear/one", "endpointing": "500"}
    assert ends(TALK, query | {"turn_detection": "semantic"}, turns) == ends(TALK, query, None)


def test_the_audio_may_stop_in_the_middle_of_a_pause() -> None:
    assert ends("....." + "+" * 10 + ".", SEMANTIC, decider()) == []


def test_the_first_message_says_which_turns_the_server_detects() -> None:
    for turns, query, expected in (
        (decider(), SEMANTIC, {"turn_detection": "semantic", "eagerness": "auto"}),
        (decider(), SEMANTIC | {"turn_detection": "timer"}, {"turn_detection": "timer"}),
        (None, SEMANTIC, {"turn_detection": "timer"}),
        (decider(), {"model": "ear/one"}, {}),
    ):
        stream = opening(query, turns)
        told = messages.session_begin(
            messages.query(query), session_id="s", model="m", vad=True, endpointing_ms=300, is_semantic=stream.is_semantic
        )
        assert {name: told[name] for name in ("turn_detection", "eagerness") if name in told} == expected


def test_semantic_turns_need_speech_detection_and_turn_it_on() -> None:
    with pytest.raises(UnsupportedValue) as refused:
        opening(SEMANTIC | {"vad": "false"}, decider())
    assert refused.value.param == "turn_detection"
    off = Settings(stt_vad_enabled=False)
    assert opening(SEMANTIC, decider(), off).vad
    assert not opening({"model": "ear/one"}, decider(), off).vad


@pytest.mark.parametrize(("name", "value"), [("turn_detection", "magic"), ("eagerness", "very")])
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        messages.query({name: value})
    assert wrong.value.param == name
