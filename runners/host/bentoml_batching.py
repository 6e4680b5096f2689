"""Batches that BentoML's adaptive batching forms, instead of our own queue (OS_BATCHING, docs/decisions/0002-batching-queue.md).

BentoML collects the calls of an API that is marked `batchable`, and a runner decodes those of one batch in one call of its model. Each call
has an answer of its own, so an error concerns one call only. BentoML does not tell a runner that a caller has disconnected: the call
is still decoded.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, cast

import aiohttp
from bentoml.exceptions import BentoMLException  # noqa: TID251 - what its client raises
from pydantic import BaseModel

from open_speech.backends import BatchSynthesizer, Utterance, Window, WindowTranscriber
from open_speech.dispatch.frames import (
    END,
    Call,
    Decoder,
    Frame,
    Kind,
    Operation,
    RunnerStatus,
    SpeakCall,
    TranscribeCall,
    WindowCall,
    audio_frame,
    error_frame,
    progress_frame,
    window_frame,
)
from open_speech.errors import SpeechError
from runners.host.host import Host
from runners.host.request_checks import check_call

BATCHABLE: tuple[Operation, ...] = (WindowCall, SpeakCall)
"""The operations of which BentoML can form batches."""
MAX_LATENCY_MS = 600_000
"""Milliseconds after which BentoML refuses a call that waits. Admission control in front of the queue has a far lower limit."""
HEARTBEAT_S = 1.0
"""Seconds between two questions to the runner while an answer is awaited: whether it is downloading or loading a model."""


class Answer(BaseModel):
    """The answer to one call of a batch."""

    model_config = TranscribeCall.model_config
    frames: bytes
    """The frames that the call would be answered with outside of a batch."""


def batch_api(operation: Operation) -> str:
    """Return the name of the API that takes a batch of calls."""
    return f"{operation.api}_batch"


async def answers(host: Host, calls: Sequence[WindowCall | SpeakCall]) -> list[Answer]:
    """Answer the calls of one batch, in their order. Calls that need the same model are decoded in one call of it."""
    groups: dict[str, list[int]] = {}
    found: dict[int, Answer] = {}
    for at, call in enumerate(calls):
        try:
            check_call(host.registry, call)
        except SpeechError as error:
            found[at] = Answer(frames=error_frame(error).encode())
        else:
            options = call.unpack()[1] if isinstance(call, SpeakCall) else None
            groups.setdefault(host.registry.part(call.model, options), []).append(at)

    async def answer_group(model: str, group: list[int]) -> None:
        frames = await _decoded(host, model, [calls[at] for at in group])
        found.update((at, Answer(frames=frame)) for at, frame in zip(group, frames, strict=True))

    await asyncio.gather(*(answer_group(model, group) for model, group in groups.items()))
    return [found[at] for at in range(len(calls))]


async def _decoded(host: Host, model: str, calls: Sequence[WindowCall | SpeakCall]) -> list[bytes]:
    """Return the frames of each answer. An error of the whole batch, such as a model that cannot be loaded, is that of each call."""
    decoder = Decoder()
    frames: list[Frame] = []
    async with aclosing(host.together(model, functools.partial(_decode, calls), size=len(calls))) as chunks:
        async for chunk in chunks:
            frames += [frame for frame in decoder.feed(chunk) if frame.kind is not Kind.PROGRESS]
    *results, last = frames
    if last.kind is Kind.ERROR:
        return [last.encode()] * len(calls)
    return [frame.encode() if frame.kind is Kind.ERROR else frame.encode() + END.encode() for frame in results]


def _decode(calls: Sequence[WindowCall | SpeakCall], backend: WindowTranscriber | BatchSynthesizer) -> list[Frame]:
    """Decode calls of the same operation; return a frame for each, its result or its error. Blocking."""
    if isinstance(calls[0], WindowCall):
        heard = [call for call in calls if isinstance(call, WindowCall)]
        windows = [Window(*call.unpack(), call.speech) for call in heard]
        recognized = cast("WindowTranscriber", backend).transcribe_windows(windows)
        return [error_frame(one) if isinstance(one, SpeechError) else window_frame(one) for one in recognized]
    utterances = [Utterance(*call.unpack()) for call in calls if isinstance(call, SpeakCall)]
    spoken = cast("BatchSynthesizer", backend).synthesize_batch(utterances)
    return [error_frame(one) if isinstance(one, SpeechError) else audio_frame(one) for one in spoken]


async def batched_call(client: Any, call: Call) -> AsyncGenerator[bytes, None]:
    """Make one call through BentoML's batching; yields bytes of frames, progress frames while the model is downloaded or loaded.

    `client` is BentoML's client of the runner. Closing the generator ends the wait for the answer, but not the work of the runner.
    """
    waiting = asyncio.ensure_future(getattr(client, batch_api(type(call)))([call]))
    try:
        while not (await asyncio.wait({waiting}, timeout=HEARTBEAT_S))[0]:
            if progress := await _progress(client):  # of this model, of a part of it, or of one that is loaded before it
                yield progress_frame(progress.get(call.model, {})).encode()
        (answer,) = waiting.result()
        yield answer.frames
    finally:
        waiting.cancel()


async def _progress(client: Any) -> dict[str, Any]:
    """Return the downloads and loads in progress; none if the question fails. If the runner is gone, the call fails as well.

    An error here must not end the call: it would be repeated, and decoded twice.
    """
    with suppress(OSError, aiohttp.ClientError, BentoMLException):
        progress: dict[str, Any] = (await getattr(client, RunnerStatus.api)())["progress"]
        return progress
    return {}
