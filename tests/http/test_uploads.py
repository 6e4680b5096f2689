from __future__ import annotations

from typing import Any

import pytest

from open_speech.http.uploads import fields_of


@pytest.mark.parametrize(
    ("pairs", "fields"),
    [
        ([("model", "m"), ("language", "en")], {"model": "m", "language": "en"}),
        ([("g[]", "word")], {"g": ["word"]}),
        ([("g[]", "word"), ("g[]", "segment")], {"g": ["word", "segment"]}),
        ([("g", "word"), ("g", "segment")], {"g": ["word", "segment"]}),
        ([("g", "word"), ("g[]", "segment")], {"g": ["word", "segment"]}),
        ([("c[type]", "server_vad"), ("c[threshold]", "0.4")], {"c": {"type": "server_vad", "threshold": "0.4"}}),
        ([("c", "auto"), ("c[type]", "server_vad")], {"c": "auto"}),
        ([("prompt", ""), ("language", " "), ("model", "m")], {"model": "m"}),
        ([], {}),
    ],
)
def test_every_spelling_of_lists_and_objects_is_read(pairs: list[tuple[str, str]], fields: dict[str, Any]) -> None:
    assert fields_of(pairs) == fields
