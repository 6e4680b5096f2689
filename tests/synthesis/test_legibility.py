from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.api.jobs.bodies import PATH
from open_speech.app import create_app
from open_speech.backends import ModelEntry, Task, Voice
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import UnreadableText
from open_speech.synthesis.legibility import Legibility, OtherScripts
from open_speech.text.steps import Pause, Say, Step
from runners.wiring.engine import local_engine

VOICES = (Voice("ann", "en-US"), Voice("li", "zh"), Voice("yuki", "ja"))
MODEL = ModelEntry("m", "mouth", Task.TTS, "MIT", ("en", "zh", "ja"), voices=VOICES, default_voice="ann")


def legibility(*, scripts: OtherScripts = "skip", language: str = "en-US") -> Legibility:
    return Legibility(MODEL, lambda step: (step.voice or "ann", language), [MODEL], scripts=scripts)


def test_text_that_the_voice_reads_stays_as_it_is() -> None:
    steps: list[Step] = [Say("Hello, naïve world."), Pause(1.0), Say("½ of it.")]
    reader = legibility()
    assert reader.steps(steps) == steps
    assert reader.warnings == []


@pytest.mark.parametrize(
    ("text", "left", "name"),
    [
        ("The word 你好 means hello.", "The word  means hello.", "Chinese characters"),
        ("Say привет to them.", "Say  to them.", "Cyrillic"),
        ("Tokyo (東京へ) is big.", "Tokyo is big.", "Japanese"),
        ("It is שלום.", "It is .", "Hebrew"),
        ("Hangul 안녕 here", "Hangul  here", "Korean"),
        ("A ᚠᚢ rune", "A  rune", "another script"),
    ],
)
def test_text_in_another_script_is_left_out_with_a_warning(text: str, left: str, name: str) -> None:
    reader = legibility()
    (step,) = reader.steps([Say(text)])
    assert isinstance(step, Say)
    assert " ".join(step.text.split()) == " ".join(left.split())
    assert reader.warnings == [f"Text in {name} was left out: the voice `ann` does not read it."]


def test_each_script_is_warned_of_once() -> None:
    reader = legibility()
    reader.steps([Say("a 你 b"), Say("好 c мир")])
    assert len(reader.warnings) == 2


def test_text_in_another_script_is_handed_to_a_voice_of_the_model_that_reads_it() -> None:
    reader = legibility(scripts="voice")
    assert reader.steps([Say("The word 你好 and へや, мир.")]) == [
        Say("The word "), Say("你好", "li"), Say(" and "), Say("へや, ", "yuki"), Say(".")
    ]  # fmt: skip
    assert reader.warnings == ["Text in Cyrillic was left out: the voice `ann` does not read it."]


@pytest.mark.parametrize(("text", "named"), [("你好", "`li` of `m`"), ("こんにちは", "`yuki` of `m`"), ("Привет!", "one for `ru` or `uk`")])
def test_a_text_of_nothing_else_is_an_error_that_names_what_reads_it(text: str, named: str) -> None:
    with pytest.raises(UnreadableText) as refused:
        legibility().steps([Say(text)])
    assert named in refused.value.message
    assert refused.value.param == "input"


def test_a_backend_that_reads_every_script_gets_all_of_the_text() -> None:
    assert legibility(language="").steps([Say("你好 мир")]) == [Say("你好 мир")]


def test_text_as_it_arrives_is_read_in_the_same_way() -> None:
    async def run() -> list[Step]:
        async def steps() -> AsyncGenerator[Step, None]:
            for char in "a 你好 b":
                yield Say(char)

        return [step async for step in reader.stream(steps())]

    reader = legibility()
    assert "".join(step.text for step in asyncio.run(run()) if isinstance(step, Say)).split() == ["a", "b"]
    assert len(reader.warnings) == 1


def phonemic(settings: Settings) -> Engine:
    """An engine on the tones pair whose voice reads by phonemes of its language, as Kokoro's and Piper's do."""
    engine = local_engine(settings)
    engine.registry.backends["tones-tts"] = replace(engine.registry.backends["tones-tts"], phonemes=True)
    return engine


@pytest.fixture
def client(tones_settings: Settings) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        app.state.engine = phonemic(tones_settings)
        async with app.state.jobs.working(app.state.engine):
            yield

    with TestClient(create_app(tones_settings, lifespan=lifespan)) as client:
        yield client


BODY = {"model": "tts-1", "voice": "alloy", "language": "en", "response_format": "wav", "input": "The word 你好 means hello."}
WARNING = "Text in Chinese characters was left out"


@pytest.mark.parametrize("form", [{}, {"stream_format": "sse", "response_format": "pcm"}, {"stream_format": "json"}, {"cache": False}])
def test_speech_over_http_says_in_a_header_what_was_left_out(client: TestClient, form: dict[str, Any]) -> None:
    answer = client.post("/v1/audio/speech", json=BODY | form)
    assert answer.status_code == 200
    assert answer.headers["warning"].startswith(f'299 open-speech "{WARNING}')
    assert "warning" not in client.post("/v1/audio/speech", json=BODY | form | {"input": "Hello."}).headers


def test_speech_of_nothing_that_can_be_read_is_refused_over_http(client: TestClient) -> None:
    answer = client.post("/v1/audio/speech", json=BODY | {"input": "你好。"})
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("unreadable_text", "input")


def test_live_speech_sends_a_warning(client: TestClient) -> None:
    with client.websocket_connect("/v1/audio/speech/stream") as socket:
        socket.send_json({"type": "config", "voice": "alloy", "language": "en", "encoding": "base64"})
        socket.send_json({"type": "text", "text": "The word 你好 means hello."})
        socket.send_json({"type": "end"})
        messages = []
        while not messages or messages[-1]["type"] not in ("done", "error"):
            messages.append(socket.receive_json())
    assert [message["message"] for message in messages if message["type"] == "warning"] == [
        f"{WARNING}: the voice `tone` does not read it."
    ]


def test_a_job_keeps_the_warning_with_its_result(client: TestClient) -> None:
    job = client.post(PATH, json={**BODY, "type": "speech"})
    assert job.status_code == 202, job.text
    for _ in range(600):
        state = client.get(f"{PATH}/{job.json()['id']}").json()
        if state["status"] in ("completed", "failed"):
            break
        time.sleep(0.1)
    assert state["status"] == "completed"
    assert WARNING in client.get(f"{PATH}/{state['id']}/result").headers["warning"]


def test_text_is_not_handed_to_a_voice_whose_language_is_not_installed() -> None:
    needy = replace(MODEL, voices=(Voice("ann", "en-US"), Voice("li", "zh", needs="pip install x")))
    reader = Legibility(needy, lambda step: (step.voice or "ann", "en-US"), [needy], scripts="voice")
    assert reader.steps([Say("The word 你好 means hello.")]) == [Say("The word  means hello.")]
