"""No test looks at a clock: a limit that one machine keeps fails on a slower one, and says nothing about the code on a faster one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ALLOWED = {
    "benchmarks/dialogue/test_chat.py": "compares the order of times that the chat server records",
    "growth.py": "compares two CPU times of one machine with each other",
    "waiting.py": "ends a wait that has no other end",
}
"""Files of tests/ that may look at a clock, each with its reason."""
INSTEAD = "Compare sizes (tests/growth.py), count steps, or wait with a generous deadline (tests/waiting.py)."

_TIME = {"time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime"}
_CLOCKS = {f"time.{name}{unit}" for name in _TIME for unit in ("", "_ns")} | {"timeit.timeit", "timeit.default_timer", "resource.getrusage"}
_METHODS = {"cpu_times", "cpu_percent", "cpu_s"}
"""Of psutil's processes and of our own, whatever the object is called."""
_REQUESTS = {
    f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "Client", "AsyncClient")
}


def clocks(source: str) -> Iterator[str]:
    """Yield the lines and names of clocks that a source uses or imports by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.lineno}: {name}" for alias in node.names if (name := f"{node.module}.{alias.name}") in _CLOCKS)
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in _CLOCKS or node.attr in _METHODS or name.endswith("get_running_loop().time"):
                yield f"{node.lineno}: {name}"


def impatient(source: str) -> Iterator[str]:
    """Yield the lines of HTTP requests without a timeout of their own: httpx gives up after five seconds."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in _REQUESTS:
            given = {keyword.arg for keyword in node.keywords}
            if not given & {"timeout", "transport", None}:
                yield f"{node.lineno}: {name}"


def sources() -> dict[str, str]:
    return {str(path.relative_to(TESTS)): path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("*.py"))}


def test_no_test_looks_at_a_clock() -> None:
    assert {name: found for name, source in sources().items() if name not in ALLOWED and (found := list(clocks(source)))} == {}, INSTEAD


def test_every_file_that_may_look_at_a_clock_does() -> None:
    assert [name for name in ALLOWED if not list(clocks((TESTS / name).read_text(encoding="utf-8")))] == []


def test_every_request_of_a_test_has_a_generous_timeout() -> None:
    assert {name: found for name, source in sources().items() if (found := list(impatient(source)))} == {}, "timeout=PATIENCE_S"


@pytest.mark.parametrize(
    "planted",
    [
        "began = time.monotonic()\nassert time.monotonic() - began < 1",
        "assert time.process_time() < 5",
        "from time import perf_counter",
        "clock = time.perf_counter_ns",
        "seconds = timeit.timeit(work)",
        "used = psutil.Process().cpu_times().user",
        "assert served.cpu_s() - before < 0.5",
        "now = asyncio.get_running_loop().time()",
        "resource.getrusage(resource.RUSAGE_SELF)",
    ],
)
def test_a_clock_in_a_test_is_found(planted: str) -> None:
    assert list(clocks(planted))


def test_what_is_no_clock_is_not_found() -> None:
    assert list(clocks("time.sleep(0.1)\nrequest.time\nassert took(3) < 5")) == []


def test_a_request_without_a_timeout_is_found() -> None:
    assert list(impatient("httpx.get(url)\nhttpx.post(url, json={})")) == ["1: httpx.get", "2: httpx.post"]
    assert list(impatient("httpx.get(url, timeout=60)\nhttpx.AsyncClient(transport=asgi)\nhttpx.get(url, **options)")) == []
