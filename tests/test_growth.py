"""The comparison of CPU times finds work that grows too fast, and passes work that does not."""

from __future__ import annotations

import pytest

from tests.growth import assert_costs_at_most, assert_linear


def linear(size: int) -> int:
    return sum(range(size))


def quadratic(size: int) -> int:
    return sum(range(size * size // 100))


def test_linear_work_passes() -> None:
    assert_linear(linear, lambda size: size, 3000)


def test_quadratic_work_is_found() -> None:
    with pytest.raises(AssertionError, match="25 times are allowed"):
        assert_linear(quadratic, lambda size: size, 1000)


def test_work_is_compared_with_other_work() -> None:
    assert_costs_at_most(5, lambda: linear(20_000), lambda: linear(10_000))
    with pytest.raises(AssertionError, match="5 times are allowed"):
        assert_costs_at_most(5, lambda: linear(100_000), lambda: linear(10_000))
