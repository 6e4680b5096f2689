"""The Live API by OpenAI's own SDK over a real socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.contract.live_server import Runner, live_app, speech
from tests.language_model import KEY, LanguageModelServer
from tests.waiting import PATIENCE_S, Pace

Serving = Callable[[FastAPI], AbstractContextManager[str]]
FRAME = 4800
FUNCTION = {"type": "function", "name": "light", "description": "Switch a light.", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def server(serving: Serving, runner: Runner, tmp_path: Path, language_model: LanguageModelServer) -> Iterator[str]:
    with serving(live_app(runner, tmp_path, llm_base_url=language_model.url, llm_api_key=KEY, llm_model="small")) as url:
        yield url


def unknown_fields(value: object, path: str = "") -> list[str]:
    """Name the fields of an event that the SDK's types do not know."""
    if isinstance(value, list):
        return [name for item in value for name in unknown_fields(item, path)]
    if not isinstance(value, BaseModel):
        return []
    known = [name for field in type(value).model_fields for name in unknown_fields(getattr(value, field), f"{path}.{field}")]
    return [*(f"{path}.{name}" for name in value.model_extra or {}), *known]


class Talk:
    """One connection of the SDK: what it sends is left to the SDK, what comes is collected and checked."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self.sound = bytearray()

    async def send(self) -> None:
        """Send what is spoken, and silence otherwise, in real time."""
        pace, due = Pace(), 0.0
        while True:
            frame, self.sound[:FRAME] = bytes(self.sound[:FRAME]), b""
            await self.connection.session.input_audio.append(audio=base64.b64encode(frame.ljust(FRAME, b"\0")).decode())
            due += 0.1
            await asyncio.sleep(pace.until_s(due))

    async def until(self, kind: str, where: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the first event of a kind."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await self.connection.recv()
                assert unknown_fields(event) == [], event.type
                self.events.append(event)
                if event.type == kind and where(event):
                    return event

    def text(self, side: str) -> str:
        return "".join(event.delta for event in self.events if event.type == f"session.{side}_transcript.delta")


@asynccontextmanager
async def talking(url: str, **session: Any) -> AsyncIterator[Talk]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused").live.connect() as connection:
        talk = Talk(connection)
        await connection.session.start(session={"model": "gpt-live-1", **session}, event_id="start")
        assert (await talk.until("session.started")).client_event_id == "start"
        sending = asyncio.create_task(talk.send())
        try:
            yield talk
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scene(), PATIENCE_S)

    asyncio.run(bounded())


def test_a_question_is_answered_and_the_session_ends_cleanly(server: str) -> None:
    async def scene() -> None:
        async with talking(server, instructions="Be kind.", audio={"output": {"voice": "marin"}}) as talk:
            talk.sound += speech(1.5)
            await talk.until("session.output_transcript.delta", lambda event: event.delta.endswith("rain."))
            assert talk.text("input") == " What is the weather like?"
            assert talk.text("output") == " It is warm and sunny in Paris today. Tomorrow there will be some rain."
            await talk.connection.session.close()
            rest = [event async for event in talk.connection]  # ends by itself on a clean close only
            assert rest[-1].type == "session.closed" and rest[-1].reason == "close_requested"

    play(scene)


def test_a_function_is_called_and_its_output_is_spoken(server: str, runner: Runner) -> None:
    runner.text = "call it"

    async def scene() -> None:
        responses = {"model": "gpt-5.6-luna", "tools": [FUNCTION]}
        delegation = {"type": "responses", "responses": responses, "acknowledgement_delay_ms": 60_000}
        async with talking(server, delegation=delegation) as talk:
            talk.sound += speech(1.5)
            created = await talk.until("session.delegation.created")
            done = await talk.until("response.event", lambda event: event.event["type"] == "response.output_item.done")
            assert done.delegation_id == created.delegation.id
            assert (done.event["item"]["name"], done.event["item"]["arguments"]) == ("light", '{"room": "kitchen"}')
            output = {"type": "function_call_output", "call_id": done.event["item"]["call_id"], "output": "on"}
            await talk.connection.response.item.create(item=output)
            await talk.connection.response.create()
            await talk.until("session.output_transcript.delta", lambda event: event.delta.endswith("rain."))
            completed = [event.event for event in talk.events if event.type == "response.event"][-1]
            assert (completed["type"], completed["response"]["usage"]["total_tokens"]) == ("response.completed", 16)

    play(scene)


def test_every_command_of_the_sdk_has_its_answer(server: str) -> None:
    async def scene() -> None:
        async with talking(server) as talk:
            session, wanted = talk.connection.session, []
            await session.input_audio.mute(event_id="1")
            await session.input_audio.unmute(event_id="2")
            await session.instructions.append(content="Be brief.", delegation_id=None, event_id="3")
            await session.thinking.append(content="It is Monday.", delegation_id=None, event_id="4")
            await session.commentary.append(content="Greet.", delegation_id=None, event_id="5")
            await session.update(session={"delegation": {"type": "client", "acknowledgement_delay_ms": 100}}, event_id="6")
            await talk.until("session.commentary.appended")
            wanted = [event.client_event_id for event in talk.events if getattr(event, "client_event_id", None)]
            assert wanted == ["start", "1", "2", "6", "3", "4", "5"]
            await talk.connection.decision.create(event_id="7")
            assert (await talk.until("error")).error.code == "unsupported_event"

    play(scene)


def test_the_sdk_attaches_to_a_session(server: str) -> None:
    async def scene() -> None:
        async with talking(server) as talk:
            session_id = talk.events[0].session.id
            client = AsyncOpenAI(base_url=f"{server}/v1", api_key="unused")
            async with client.live.sideband.connect(session_id=session_id, graceful_close=True) as connection:
                side = Talk(connection)
                assert (await side.until("session.started")).session.id == session_id
                await connection.session.commentary.append(content="Greet.", delegation_id=None)
                audio = await side.until("session.output_audio.delta")
                assert audio.end_ms - audio.start_ms == 100
                await side.until("session.input_audio.append")
                await connection.session.close()
                await side.until("session.closed")

    play(scene)
