from __future__ import annotations

from typing import Any

import pytest

from open_speech.backends import BackendEntry, Task
from open_speech.dispatch.readiness import is_enough
from open_speech.registry import Defaults, Registry

BACKENDS = [
    BackendEntry("ear", Task.STT, "x:X", (), "", "MIT"),
    BackendEntry("other-ear", Task.STT, "x:X", (), "", "MIT"),
    BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT"),
]
REGISTRY = Registry(BACKENDS, [], {entry.name: "process" for entry in BACKENDS}, Defaults("", "", ""))


def ready(*names: str, of: tuple[str, ...] = ("ear", "other-ear", "mouth")) -> dict[str, dict[str, Any]]:
    return {name: {"ready": name in names} for name in of}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (ready("ear", "other-ear", "mouth"), True),
        (ready("other-ear", "mouth"), True),
        (ready("ear", "other-ear"), False),
        (ready("ear", of=("ear",)), True),
        (ready(of=("mouth",)), False),
        ({}, False),
    ],
)
def test_enough_is_one_backend_for_each_task_that_is_served(states: dict[str, dict[str, Any]], expected: bool) -> None:
    assert is_enough(REGISTRY, states) is expected
