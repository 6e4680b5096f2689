from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from open_speech import logs
from tests.waiting import PATIENCE_S


def record(message: str = "the %s", *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "open_speech.http", "msg": message, "args": arguments, "levelno": 20, "levelname": "INFO"})
    vars(made).update(created=1_700_000_000.25, msecs=250.0, **extra)
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = logs.JsonLines(lambda: {"service": "kokoro"}).format(made)
    assert "\n" not in line
    return dict(json.loads(line))


def test_a_json_line_tells_when_who_and_what() -> None:
    assert as_json(record("the %s", "end", status=200)) == {
        "time": "2023-11-14T22:13:20.250Z", "level": "info", "logger": "open_speech.http", "message": "the end", "service": "kokoro",
        "status": 200,
    }  # fmt: skip


def test_a_line_tells_of_the_errand_it_is_written_on() -> None:
    with logs.on(logs.RequestContext("req_1", "openai")):
        logs.note_key("alice")
        logs.note_model("tones/speak")
        told = as_json(record("hello"))
    assert {name: told[name] for name in ("request_id", "door", "key", "model")} == {
        "request_id": "req_1", "door": "openai", "key": "alice", "model": "tones/speak",
    }  # fmt: skip
    assert "request_id" not in as_json(record("hello"))


def test_what_an_errand_begins_is_done_on_it() -> None:
    async def work() -> tuple[str, str]:
        def here() -> str:
            doing = logs.context()
            return doing.id if doing else ""

        async def there() -> str:
            return here()

        with logs.on(logs.RequestContext("req_1")):
            task = asyncio.create_task(there())
            threaded = await asyncio.to_thread(here)
        return await task, threaded

    assert asyncio.run(work()) == ("req_1", "req_1")


def test_nothing_is_noted_where_nobody_asked() -> None:
    logs.note_model("tones/speak")
    logs.note_key("alice")
    logs.note_error("voice_not_found")
    assert logs.context() is None


def test_no_name_of_a_clients_making_forges_a_line() -> None:
    forged = 'x"}\n{"level": "critical"}'
    with logs.on(logs.RequestContext("req_1", model=forged)):
        assert as_json(record("hello\nworld"))["model"] == forged


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        told = as_json(record("it failed", exc_info=sys.exc_info()))
    assert "RuntimeError: boom" in told["exception"]


def test_a_text_line_ends_with_the_errand_and_repeats_nothing() -> None:
    with logs.on(logs.RequestContext("req_1", "openai")):
        line = logs.TextLines(lambda: {"service": "kokoro"}).format(record("GET 200", status=200))
    assert line == "2023-11-14T22:13:20.250Z [INFO] [kokoro] GET 200 (request_id=req_1 door=openai)"


def test_errors_told_to_a_client_are_counted_once_each() -> None:
    told: list[str] = []
    with logs.on(logs.RequestContext("req_1", failed=told.append)):
        logs.note_error("voice_not_found")
        logs.note_error(None)
        logs.note_event({"type": "error", "error": {"type": "invalid_request_error", "code": None}})
        logs.note_event({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value"}})
        logs.note_event({"type": "transcript", "error": {"code": "no"}})
    assert told == ["voice_not_found", "server_error", "invalid_request_error", "invalid_value"]


INSTALL = """
import logging
from open_speech import logs
logging.getLogger("bentoml").addHandler(logging.StreamHandler())
for _ in range(2):
    logs.install({form!r}, {level!r}, foreign=("bentoml",))
logging.getLogger("open_speech.http").debug("a detail")
logging.getLogger("open_speech.http").info("ours")
logging.getLogger("bentoml.serve").warning("theirs")
logging.getLogger("httpx").info("a stranger")
"""


@pytest.mark.parametrize(("level", "expected"), [("info", ["ours", "theirs"]), ("debug", ["a detail", "ours", "theirs"])])
def test_every_logger_writes_one_form_and_each_line_once(level: str, expected: list[str]) -> None:
    code = INSTALL.format(form="json", level=level)
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert [json.loads(line)["message"] for line in shown.stdout.splitlines()] == expected
    assert shown.stderr == ""
