from __future__ import annotations

import pytest

from open_speech.model_indexes.parsing import parse
from open_speech.model_indexes.values import MAX_BYTES, IndexRefused
from tests.model_indexes.indexes import VALID, toml


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "not TOML in UTF-8"),
        (b"name = ", "not TOML in UTF-8: Invalid value"),
        (b"a = " + b"[" * 20_000, "not TOML in UTF-8"),
        (b"#" * (MAX_BYTES + 1), "larger than 1048576 bytes"),
        (b"", "`format` is missing"),
    ],
)
def test_what_is_no_index_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(IndexRefused, match=reason):
        parse(content)


def test_an_index_of_the_largest_size_is_read() -> None:
    content = toml(VALID)
    assert parse(content + b"#" * (MAX_BYTES - len(content))).name == "acme"


def test_a_key_that_could_disturb_a_terminal_is_escaped() -> None:
    with pytest.raises(IndexRefused) as refused:
        parse(toml(VALID) + b'"\\u001b[31m" = 1\n')
    assert refused.value.message.splitlines()[1] == '`"\\u001b[31m"` is not a field of this table'
