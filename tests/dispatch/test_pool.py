from __future__ import annotations

import asyncio
from typing import Any

from open_speech.dispatch.link import RunnerGone
from open_speech.errors import Overloaded
from open_speech.synthesis.plan import SynthesisRequest
from tests.engines import TRANSCRIBE, Runner, engine, hear, upload


def test_more_work_than_the_queue_holds_is_refused_at_once() -> None:
    async def run() -> list[object]:
        busy = engine(Runner(delay_s=0.1), max_queue=2)
        calls = (busy.recognition.transcribe(upload(0.1), TRANSCRIBE) for _ in range(5))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    results = asyncio.run(run())
    refused = [r for r in results if isinstance(r, Overloaded)]
    assert len(refused) == 3
    assert refused[0].retry_after_s


def test_the_queue_is_free_again_afterwards() -> None:
    async def run() -> str:
        busy = engine(Runner(), max_queue=1)
        for _ in range(3):
            await hear(await busy.synthesis.speak(SynthesisRequest("tts-1", "Hello.")))
            transcript = await busy.recognition.transcribe(upload(0.1), TRANSCRIBE)
        return transcript.text

    assert asyncio.run(run()) == "heard"


def test_ready_means_that_every_task_has_a_runner_that_answers() -> None:
    class Dead(Runner):
        async def status(self, question: object) -> dict[str, Any]:
            raise RunnerGone("dead")

    assert asyncio.run(engine(Runner()).pool.is_ready()) is True
    assert asyncio.run(engine(Dead()).pool.is_ready()) is False
