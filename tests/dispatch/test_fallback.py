"""The order of fallback models, what moves a request on, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from open_speech import logs
from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.dispatch.fallback import Deadline, FallbackChain, FallbackModels
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    InvalidAudio,
    NotInstalled,
    Overloaded,
    SpeechError,
    Stopping,
    UnknownModel,
    UnsupportedLanguage,
    WeightsUnavailable,
    WrongTask,
)
from open_speech.registry import Defaults, Registry
from open_speech.security import egress

HERE = BackendEntry("here", Task.STT, "x:X", (), "", "MIT")
CLOUD = BackendEntry("cloud", Task.STT, "x:X", (), "", "MIT", prefix="cloud/")
VOICE = BackendEntry("voice", Task.TTS, "x:X", (), "", "MIT")
ABSENT = BackendEntry("absent", Task.STT, "x:X", (), "absent", "MIT")
MODELS = [
    ModelEntry("here/one", "here", Task.STT, "MIT", ()),
    ModelEntry("here/two", "here", Task.STT, "MIT", ()),
    ModelEntry("voice/one", "voice", Task.TTS, "MIT", ()),
    ModelEntry("absent/one", "absent", Task.STT, "MIT", ()),
]
REGISTRY = Registry([HERE, CLOUD, VOICE, ABSENT], MODELS, {"here": "process", "cloud": "inproc", "voice": "process"}, Defaults("", "", ""))
ONE = REGISTRY.find("here/one")
Outcomes = dict[str, SpeechError | str]


class Attempts:
    """Models as a test wants them, which note in which order they were tried."""

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes
        self.tried: list[str] = []
        self.moves: list[tuple[Task, str, str, str]] = []

    async def begin(self, entry: ModelEntry, _: Deadline) -> str:
        self.tried.append(entry.id)
        outcome = self.outcomes[entry.id]
        if isinstance(outcome, SpeechError):
            raise outcome
        return outcome

    def chain(self, *models: str, after_s: float = 0.0) -> FallbackChain:
        return FallbackChain(REGISTRY, Task.STT, FallbackModels(models, after_s), lambda *move: self.moves.append(move))


@pytest.mark.parametrize(
    "error",
    [BackendFailed("x"), BackendTimeout("x"), BackendUnavailable("x"), Overloaded("x"), WeightsUnavailable("x")],
    ids=lambda error: type(error).__name__,
)
def test_a_model_that_fails_is_followed_by_the_next_one_in_order(error: SpeechError) -> None:
    attempts = Attempts({"here/one": error, "cloud/a": BackendFailed("no"), "here/two": "text"})
    assert asyncio.run(attempts.chain("cloud/a", "here/two").first(ONE, attempts.begin)) == "text"
    assert attempts.tried == ["here/one", "cloud/a", "here/two"]
    assert attempts.moves == [
        (Task.STT, "here/one", "cloud/a", error.code),
        (Task.STT, "cloud/a", "here/two", "backend_failed"),
    ]


@pytest.mark.parametrize("error", [InvalidAudio("x"), UnsupportedLanguage("x", param="language"), Stopping("x")], ids=lambda e: str(e.code))
def test_what_is_the_callers_error_or_the_end_of_the_server_is_not_tried_again(error: SpeechError) -> None:
    attempts = Attempts({"here/one": error, "cloud/a": "text"})
    with pytest.raises(type(error)):
        asyncio.run(attempts.chain("cloud/a").first(ONE, attempts.begin))
    assert attempts.tried == ["here/one"]


def test_a_fallback_model_that_cannot_do_what_is_asked_is_passed_over() -> None:
    attempts = Attempts({"here/one": Overloaded("x"), "cloud/a": UnsupportedLanguage("x"), "here/two": "text"})
    assert asyncio.run(attempts.chain("cloud/a", "here/two").first(ONE, attempts.begin)) == "text"


def test_the_error_is_that_of_the_model_of_the_request_if_all_fail() -> None:
    attempts = Attempts(
        {"here/one": Overloaded("x", retry_after_s=7), "cloud/a": BackendFailed("no"), "here/two": UnsupportedLanguage("x")}
    )
    with pytest.raises(Overloaded) as raised:
        asyncio.run(attempts.chain("cloud/a", "here/two").first(ONE, attempts.begin))
    assert raised.value.retry_after_s == 7
    assert attempts.tried == ["here/one", "cloud/a", "here/two"]


def test_a_model_is_tried_once_wherever_it_is_in_the_chain() -> None:
    attempts = Attempts({"here/one": BackendFailed("x"), "here/two": BackendFailed("x")})
    with pytest.raises(BackendFailed):
        asyncio.run(attempts.chain("here/two", "here/one").first(ONE, attempts.begin))
    assert attempts.tried == ["here/one", "here/two"]


def test_without_fallback_models_a_failure_is_the_callers() -> None:
    attempts = Attempts({"here/one": BackendFailed("x")})
    with pytest.raises(BackendFailed):
        asyncio.run(attempts.chain().first(ONE, attempts.begin))
    assert (attempts.tried, attempts.moves) == (["here/one"], [])


def test_data_of_a_local_only_key_stays_here() -> None:
    attempts = Attempts({"here/one": BackendFailed("x"), "cloud/a": "from the cloud", "here/two": "from here"})
    with egress.keeping(local_only=True):
        assert asyncio.run(attempts.chain("cloud/a", "here/two").first(ONE, attempts.begin)) == "from here"
    assert attempts.tried == ["here/one", "here/two"]
    assert asyncio.run(attempts.chain("cloud/a").first(ONE, attempts.begin)) == "from the cloud"


def test_a_block_within_a_local_one_stays_local() -> None:
    with egress.keeping(local_only=True), egress.keeping(local_only=False):
        assert egress.is_local_only()
    assert not egress.is_local_only()


def stuck(stopped: list[str]) -> Callable[[ModelEntry, Deadline], Awaitable[str]]:
    async def begin(entry: ModelEntry, _: Deadline) -> str:
        if entry.id != "here/one":
            return entry.id
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            stopped.append(entry.id)

    return begin


def test_a_model_that_is_too_slow_is_stopped_and_followed() -> None:
    attempts, stopped = Attempts({}), list[str]()
    chain = attempts.chain("here/two", after_s=0.01)
    assert asyncio.run(chain.first(ONE, stuck(stopped))) == "here/two"
    assert stopped == ["here/one"]
    assert attempts.moves == [(Task.STT, "here/one", "here/two", "backend_timeout")]


def test_the_last_model_has_as_long_as_it_needs() -> None:
    async def run() -> str:
        released = asyncio.Event()

        async def begin(entry: ModelEntry, deadline: Deadline) -> str:
            if entry.id == "here/one":
                raise BackendFailed("x")
            assert deadline.limit_s is None
            asyncio.get_running_loop().call_later(0.05, released.set)
            await released.wait()
            return entry.id

        return await Attempts({}).chain("here/two", after_s=0.01).first(ONE, begin)

    assert asyncio.run(run()) == "here/two"


def test_only_the_first_output_has_a_limit_but_a_failure_after_it_also_moves_on() -> None:
    async def run() -> tuple[str, list[str]]:
        finished: list[str] = []

        async def begin(entry: ModelEntry, _: Deadline) -> str:
            return entry.id

        async def finish(model: str) -> str:
            await asyncio.sleep(0.05)
            finished.append(model)
            if model == "here/one":
                raise BackendFailed("in the middle")
            return model

        return await Attempts({}).chain("here/two", after_s=0.01).completed(ONE, begin, finish), finished

    assert asyncio.run(run()) == ("here/two", ["here/one", "here/two"])


def test_a_paused_limit_starts_when_there_is_work() -> None:
    async def run() -> list[str]:
        seen: list[str] = []

        async def begin(entry: ModelEntry, deadline: Deadline) -> str:
            if entry.id != "here/one":
                return entry.id
            deadline.pause()
            await asyncio.sleep(0.05)
            seen.append("waited for text")
            deadline.restart()
            return await asyncio.get_running_loop().create_future()

        seen.append(await Attempts({}).chain("here/two", after_s=0.01).first(ONE, begin))
        return seen

    assert asyncio.run(run()) == ["waited for text", "here/two"]


def test_a_request_says_which_model_answered() -> None:
    attempts = Attempts({"here/one": BackendFailed("x"), "cloud/a": "text"})

    async def run() -> tuple[str, ...]:
        with logs.on(logs.RequestContext("r")) as context:
            await attempts.chain("cloud/a").first(ONE, attempts.begin)
        return (*context.answered_by, context.model)

    assert asyncio.run(run()) == ("cloud/a", "cloud/a")


@pytest.mark.parametrize(("name", "error"), [("nobody/x", UnknownModel), ("voice/one", WrongTask), ("absent/one", NotInstalled)])
def test_a_fallback_model_that_the_server_cannot_use_is_an_error_at_the_start(name: str, error: type[SpeechError]) -> None:
    with pytest.raises(error):
        FallbackChain(REGISTRY, Task.STT, FallbackModels((name,)))
