from __future__ import annotations

import struct

import pytest

from open_speech.sandbox.landlock import ruleset


@pytest.mark.parametrize(
    ("abi", "expected"),
    [
        (1, (0x1FFF,)), (2, (0x3FFF,)), (3, (0x7FFF,)), (4, (0x7FFF, 3)), (5, (0xFFFF, 3)), (6, (0xFFFF, 3, 3)), (7, (0xFFFF, 3, 3)),
        (99, (0xFFFF, 3, 3)),
    ],
)  # fmt: skip
def test_each_version_of_the_kernel_is_asked_to_refuse_all_that_it_knows(abi: int, expected: tuple[int, ...]) -> None:
    assert struct.unpack(f"={len(expected)}Q", ruleset(abi)) == expected
