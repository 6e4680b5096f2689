"""A `Link` to a runner in another process or on another machine: operations as BentoML APIs, BentoML's exceptions as our errors.

The API of an operation has the name `Operation.api`. Its parameters are the fields of the operation, or a single parameter `call` for
an operation with audio or text.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from http import HTTPStatus
from typing import Any, cast, get_args, get_type_hints

import aiohttp
from bentoml.exceptions import BentoMLException, NotFound, ServiceUnavailable  # noqa: TID251 - what its client raises
from pydantic import BaseModel

from open_speech import __version__
from open_speech.config.types import Batching
from open_speech.dispatch.frames import Call, Operation, Question, RunnerStatus, T
from open_speech.dispatch.link import RunnerGone
from open_speech.errors import BackendFailed
from runners.host.bentoml_batching import BATCHABLE, batch_api, batched_call

FIRST = "0.1.0 or earlier"
"""The assumed version of a runner whose status contains no version."""
_LOST = (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""What a proxy in front of runners responds when a runner dies or does not respond."""
VERSION_S = 2.0
"""Seconds to wait for the version of a runner that does not support an operation."""


def parameters(operation: Operation) -> dict[str, Any]:
    """Return the parameters of the API of an operation: name -> type."""
    if issubclass(operation, BaseModel):
        return {"call": operation}
    hints = get_type_hints(operation)
    return {field.name: hints[field.name] for field in dataclasses.fields(operation)}  # type: ignore[arg-type]


def arguments(operation: Call | Question[Any]) -> dict[str, Any]:
    """Return the arguments of the API call for an operation: name -> value."""
    if isinstance(operation, BaseModel):
        return {"call": operation}
    return {name: getattr(operation, name) for name in parameters(type(operation))}


def rebuilt(operation: Operation, received: dict[str, Any]) -> Any:
    """Return the operation for the arguments that an API received."""
    return received["call"] if issubclass(operation, BaseModel) else operation(**received)


def answer_type(question: type[Question[Any]]) -> Any:
    """Return the type of the answer to a question: `bool` for a `Question[bool]`."""
    (answer,) = get_args(vars(question)["__orig_bases__"][0])
    return answer


class ServiceLink:
    """A runner behind a BentoML dependency. A connection that fails raises RunnerGone, a rejected operation BackendFailed."""

    def __init__(self, dependency: Any, *, batching: Batching = "fair") -> None:
        """`dependency` is the front service's attribute from `bentoml.depends`; `batching` is what forms batches of calls."""
        self._client = dependency.to_async
        self._batched = BATCHABLE if batching == "bentoml" else ()

    async def call(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Make a call; yields bytes of frames. Closing the generator closes the connection, which stops the runner's work."""
        try:
            with _failures():
                async with aclosing(self._chunks(call)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        except NotFound as unknown:
            name = batch_api(type(call)) if type(call) in self._batched else call.api
            raise await self._unsupported(name) from unknown

    def _chunks(self, call: Call) -> AsyncGenerator[bytes, None]:
        if type(call) in self._batched:
            return batched_call(self._client, call)
        chunks: AsyncGenerator[bytes, None] = self._api(call.api)(**arguments(call))
        return chunks

    async def ask(self, question: Question[T]) -> T:
        """Return the answer to a question."""
        try:
            with _failures():
                return cast("T", await self._api(question.api)(**arguments(question)))
        except NotFound as unknown:
            raise await self._unsupported(question.api) from unknown

    def _api(self, name: str) -> Any:
        # `bentoml serve --development` provides no client, only an object with these methods.
        return getattr(self._client, name)

    async def _unsupported(self, api: str) -> BackendFailed:
        """Return the error for a runner without this API, with the runner's version: a remote runner may be older than this server."""
        try:
            with _failures():
                async with asyncio.timeout(VERSION_S):
                    status = await self._api(RunnerStatus.api)()
        except NotFound:
            return BackendFailed("The server at the backend's URL is not a runner of Open Speech: it has no `status`.")
        except (BackendFailed, RunnerGone, TimeoutError):
            runs = "does not report its version"
        else:
            runs = f"runs Open Speech {status.get('version', FIRST)}"
        return BackendFailed(
            f"The runner has no operation `{api}`: it {runs}, and this server runs {__version__}. Install the same version on both."
        )


@contextmanager
def _failures() -> Iterator[None]:
    """Convert the exceptions of BentoML's client to our errors, except NotFound, which means that there is no such API."""
    try:
        yield
    except NotFound:
        raise
    except (OSError, aiohttp.ClientError, ServiceUnavailable) as gone:
        raise RunnerGone(type(gone).__name__) from gone
    except BentoMLException as broken:
        if broken.error_code in _LOST:
            raise RunnerGone(broken.error_code.name) from broken
        raise BackendFailed("The backend refused the call.") from broken
