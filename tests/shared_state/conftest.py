from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer, serve_redis


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with serve_redis() as server:
        yield server
