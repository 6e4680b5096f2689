from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from open_speech.errors import RateLimited
from open_speech.http.errors import error_response
from open_speech.http.middleware.error_formats import ErrorFormats


async def refuse(_: Request) -> Response:
    return error_response(RateLimited("Wait.", retry_after_s=2), {"X-Limit": "1"})


def test_a_path_has_its_own_format_and_all_others_that_of_openai() -> None:
    formats = Middleware(ErrorFormats, formats={"/a": lambda error: (error.status + 1, {"wrong": error.message})})
    client = TestClient(Starlette(routes=[Route("/a", refuse), Route("/a/b", refuse)], middleware=[formats]))
    own, other = client.get("/a"), client.get("/a/b")
    assert (own.status_code, own.json()) == (430, {"wrong": "Wait."})
    assert (other.status_code, other.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    for answer in (own, other):
        assert (answer.headers["retry-after"], answer.headers["x-limit"]) == ("2", "1")
        assert int(answer.headers["content-length"]) == len(answer.content)
