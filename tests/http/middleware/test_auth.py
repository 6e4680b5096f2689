from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from open_speech.http.caller import KEY_NAME, Proxies
from open_speech.http.middleware.auth import BROWSER_PROTOCOL, MOST_KEYS, ApiKey, presented_keys
from open_speech.security.api_keys import KeyRing
from open_speech.security.lockout import LIMIT
from open_speech.security.network import networks


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"key-name": str(request.scope[KEY_NAME])})


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    lists = [Route(path, hello, methods=["GET", "POST"]) for path in ("/v1/models", "/v1/audio/voices")]
    routes = [Route("/v1/x", hello), Route("/health", hello), *lists, WebSocketRoute("/live", talk)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(ApiKey, keys=KeyRing.read("sésame, bob:open"))]))


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ({"Authorization": "Bearer abc"}, ["abc"]),
        ({"authorization": "bearer  abc "}, ["abc"]),
        ({"Authorization": "Basic abc"}, []),
        ({"Authorization": "Basic YmF6YXJyOmFiYzpk"}, ["abc:d"]),  # bazarr:abc:d
        ({"Authorization": "basic YWJjOg=="}, ["abc"]),  # abc:
        ({"Authorization": "Bearer "}, []),
        ({"X-API-Key": "abc"}, ["abc"]),
        ({"api-key": "abc", "Authorization": "Bearer def"}, ["def", "abc"]),
        ({"api-key": "abc", "Authorization": "Bearer abc"}, ["abc"]),
        ({"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.abc"}, ["abc"]),
        ({}, []),
    ],
)
def test_keys_are_found_wherever_clients_put_them(headers: dict[str, str], keys: list[str]) -> None:
    assert presented_keys(Headers(headers)) == keys


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {b"api-key": "sésam".encode()}])
def test_a_missing_or_wrong_key_is_refused(client: TestClient, headers: Any) -> None:
    answer = client.get("/v1/x", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "sésame" not in answer.text


def test_a_right_key_passes_in_any_place(client: TestClient) -> None:
    key = "sésame".encode()
    for name, value in ((b"authorization", b"Bearer " + key), (b"x-api-key", key), (b"api-key", key)):
        assert client.get("/v1/x", headers={name: value}).text == "hello"
    both = {b"authorization": b"Bearer other", b"api-key": key}
    assert client.get("/v1/x", headers=both).text == "hello"


def test_health_needs_no_key(client: TestClient) -> None:
    assert client.get("/health").text == "hello"


def test_a_websocket_needs_the_key_too(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/live"):
        raise AssertionError("it let us in")
    assert refused.value.status_code == 401
    with client.websocket_connect("/live", headers={b"api-key": "sésame".encode()}) as socket:
        assert socket.receive_text() == "hello"


def test_each_key_opens_and_is_known_by_its_name(client: TestClient) -> None:
    sent = ({b"api-key": "sésame".encode()}, {b"api-key": b"open"}, {b"authorization": b"Basic Ym9iOm9wZW4="})
    assert [client.get("/v1/x", headers=headers).headers["key-name"] for headers in sent] == ["key-1", "bob", "bob"]


@pytest.mark.parametrize("query", ["api_key=open", "key=open", "token=open", "access_token=open"])
def test_a_key_in_the_url_is_none(client: TestClient, query: str) -> None:
    assert client.get(f"/v1/x?{query}").status_code == 401
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect(f"/live?{query}"):
        raise AssertionError("it let us in")


def test_lists_are_open_only_where_they_are_said_to_be_and_only_for_reading() -> None:
    lists = [Route(path, hello, methods=["GET", "POST"]) for path in ("/v1/models", "/v1/audio/voices")]
    for public, status in ((False, 401), (True, 200)):
        client = TestClient(Starlette(routes=lists, middleware=[Middleware(ApiKey, keys=KeyRing.read("open"), public_lists=public)]))
        assert [client.get(path).status_code for path in ("/v1/models", "/v1/audio/voices")] == [status, status]
        assert [client.post(path).status_code for path in ("/v1/models", "/v1/audio/voices")] == [401, 401]
        assert client.get("/v1/models/").status_code == 401


@pytest.mark.parametrize("path", ["/v1/models", "/v1/audio/voices", "/v1/models/tts-1", "/v1/models/Systran/faster-whisper-base"])
def test_a_wrong_key_is_refused_on_a_public_list_as_clients_test_their_key_there(path: str) -> None:
    route = Route(path, hello, methods=["GET", "DELETE"])
    client = TestClient(Starlette(routes=[route], middleware=[Middleware(ApiKey, keys=KeyRing.read("open"), public_lists=True)]))
    assert client.get(path).status_code == 200
    assert client.get(path, headers={"Authorization": "Bearer open"}).status_code == 200
    assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.delete(path).status_code == 401


def test_who_tries_many_keys_is_not_looked_at_for_a_while(client: TestClient) -> None:
    for n in range(LIMIT):
        assert client.get("/v1/x", headers={"api-key": f"guess-{n}"}).status_code == 401
    for key in ("another guess", "open"):
        answer = client.get("/v1/x", headers={"api-key": key})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_wrong_keys")
        assert 50 <= int(answer.headers["retry-after"]) <= 60
    assert client.get("/v1/x").status_code == 401
    assert client.get("/health", headers={"api-key": "open"}).headers["key-name"] == "None"


def test_a_client_that_is_set_up_with_a_wrong_key_locks_nobody_out(client: TestClient) -> None:
    for _ in range(3 * LIMIT):
        assert client.get("/v1/x", headers={"api-key": "old"}).status_code == 401
    assert client.get("/v1/x", headers={"api-key": "open"}).status_code == 200


def test_guesses_at_an_open_path_count_as_well(client: TestClient) -> None:
    for n in range(LIMIT):
        assert client.get("/health", headers={"api-key": f"guess-{n}"}).status_code == 200
    assert client.get("/v1/x", headers={"api-key": "open"}).status_code == 429


def subprotocols(*keys: str) -> dict[str, str]:
    return {"sec-websocket-protocol": ", ".join(["realtime", *(BROWSER_PROTOCOL + key for key in keys)])}


def refusal(client: TestClient, headers: dict[str, str]) -> tuple[int, str]:
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/live", headers=headers):
        raise AssertionError("it let us in")
    return refused.value.status_code, refused.value.json()["error"]["code"]


def test_a_request_with_many_keys_is_refused_and_none_of_them_is_tried(client: TestClient) -> None:
    guesses = [f"guess-{n}" for n in range(3000)]
    assert refusal(client, subprotocols(*guesses, "open")) == (400, "too_many_keys")
    assert refusal(client, subprotocols("open", *guesses)) == (400, "too_many_keys")
    assert refusal(client, subprotocols(*guesses[:MOST_KEYS], "open")) == (400, "too_many_keys")
    for path in ("/v1/x", "/health"):
        assert client.get(path, headers=subprotocols(*guesses, "open")).json()["error"]["code"] == "too_many_keys"
    with client.websocket_connect("/live", headers=subprotocols(*guesses[: MOST_KEYS - 1], "open")) as socket:
        assert socket.receive_text() == "hello"


def test_keys_in_every_header_together_are_counted(client: TestClient) -> None:
    headers = {"authorization": "Bearer a", "x-api-key": "b", "api-key": "c", **subprotocols("d", "open")}
    assert refusal(client, headers) == (400, "too_many_keys")
    repeated = {"authorization": "Bearer open", "x-api-key": "open", "api-key": "open", **subprotocols(*["open"] * 50)}
    assert client.get("/v1/x", headers=repeated).status_code == 200


def test_a_request_with_many_keys_locks_nobody_out_and_many_such_requests_lock_their_sender(client: TestClient) -> None:
    many = [f"guess-{n}" for n in range(30)]
    assert refusal(client, subprotocols(*many)) == (400, "too_many_keys")
    assert client.get("/v1/x", headers={"api-key": "open"}).status_code == 200
    for n in range(LIMIT):
        refusal(client, subprotocols(*many, f"another-{n}"))
    assert client.get("/v1/x", headers={"api-key": "new"}).status_code == 429


def lock(client: TestClient, **headers: str) -> None:
    for n in range(LIMIT):
        client.get("/v1/x", headers={"api-key": f"guess-{n}", **headers})
    assert client.get("/v1/x", headers={"api-key": "another", **headers}).status_code == 429


def test_who_was_right_a_short_while_ago_is_let_through_while_others_there_are_locked(client: TestClient) -> None:
    assert client.get("/v1/x", headers={"api-key": "open"}).status_code == 200
    lock(client)
    assert client.get("/v1/x", headers={"api-key": "open"}).headers["key-name"] == "bob"
    with client.websocket_connect("/live", headers=subprotocols("wrong", "open")) as socket:
        assert socket.receive_text() == "hello"
    for key in ("sésame".encode(), b"guess"):
        assert client.get("/v1/x", headers={b"api-key": key}).status_code == 429


@pytest.mark.parametrize("page", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}])
def test_a_page_of_another_site_locks_out_neither_programs_nor_our_page(client: TestClient, page: dict[str, str]) -> None:
    lock(client, **page)
    assert client.get("/v1/x", headers={"api-key": "open"}).status_code == 200
    assert client.get("/v1/x", headers={"api-key": "open", "origin": "http://testserver"}).status_code == 200
    assert client.get("/v1/x", headers={"api-key": "new", **page}).status_code == 429


def test_an_ephemeral_key_that_was_right_is_let_through_as_well() -> None:
    def opens(path: str, key: str) -> bool:
        return path == "/v1/x" and key == "ek_right"

    client = TestClient(Starlette(routes=[Route("/v1/x", hello)], middleware=[Middleware(ApiKey, keys=KeyRing.read("k"), opens=opens)]))
    assert client.get("/v1/x", headers={"api-key": "ek_right"}).status_code == 200
    lock(client)
    assert client.get("/v1/x", headers={"api-key": "ek_right"}).status_code == 200


def test_a_neighbour_by_link_local_address_locks_nobody_else_out() -> None:
    app = Starlette(routes=[Route("/v1/x", hello)], middleware=[Middleware(ApiKey, keys=KeyRing.read("open"))])
    neighbour, user = (TestClient(app, client=(f"fe80::{n}", 1)) for n in (1, 2))
    lock(neighbour)
    assert user.get("/v1/x", headers={"api-key": "open"}).status_code == 200


def test_one_more_header_with_the_key_may_be_named() -> None:
    ours = {"X-Our-Key": "open", "api-key": "a"}
    assert presented_keys(Headers(ours), "x-our-key") == ["a", "open"]
    assert presented_keys(Headers({"Authorization": "Bearer a"}), "Authorization") == ["a"]
    keys = Middleware(ApiKey, keys=KeyRing.read("open"), key_header="X-Our-Key")
    client = TestClient(Starlette(routes=[Route("/v1/x", hello), WebSocketRoute("/live", talk)], middleware=[keys]))
    assert client.get("/v1/x", headers={"x-our-key": "open"}).status_code == 200
    assert client.get("/v1/x", headers={"x-other-key": "open"}).status_code == 401
    with client.websocket_connect("/live", headers={"X-Our-Key": "open"}) as socket:
        assert socket.receive_text() == "hello"
    ways = {"authorization": "Bearer a", "x-api-key": "b", "api-key": "c", **subprotocols("d")}
    assert client.get("/v1/x", headers={**ways, "x-our-key": "open"}).status_code == 200
    many = client.get("/v1/x", headers={**ways, **subprotocols("d", "e"), "x-our-key": "open"})
    assert (many.status_code, many.json()["error"]["code"]) == (400, "too_many_keys")


def behind(proxies: Proxies, address: str) -> TestClient:
    """A client whose requests the server sees come from an address."""
    routes = [Route("/v1/x", hello, methods=["GET", "POST"]), WebSocketRoute("/live", talk)]
    middleware = [Middleware(ApiKey, keys=KeyRing.read("open"), signed_in=proxies, origins=("https://ours.example",))]
    return TestClient(Starlette(routes=routes, middleware=middleware), client=(address, 1))


INGRESS = Proxies(trusted=networks(["172.30.32.2"]))


def test_users_that_a_proxy_has_authenticated_need_no_key() -> None:
    proxied = behind(INGRESS, "172.30.32.2")
    assert proxied.get("/v1/x").headers["key-name"] == ""
    with proxied.websocket_connect("/live", headers={"origin": "http://testserver"}) as socket:
        assert socket.receive_text() == "hello"
    assert proxied.get("/v1/x", headers={"api-key": "open"}).headers["key-name"] == "key-1"
    assert proxied.get("/v1/x", headers={"api-key": "wrong"}).status_code == 401


@pytest.mark.parametrize("address", ["172.30.32.3", "10.0.0.1", "", "testclient"])
def test_nobody_passes_for_such_a_proxy_by_a_header(address: str) -> None:
    other = behind(INGRESS, address)
    claims = {"x-forwarded-for": "172.30.32.2", "x-real-ip": "172.30.32.2", "forwarded": "for=172.30.32.2", "x-ingress-path": "/"}
    assert other.get("/v1/x", headers=claims).status_code == 401
    with pytest.raises(WebSocketDenialResponse), other.websocket_connect("/live", headers=claims):
        raise AssertionError("it let us in")


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ({"origin": "http://testserver"}, 200), ({"origin": "https://ours.example"}, 200), ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 401), ({"origin": "null"}, 401), ({"sec-fetch-site": "cross-site"}, 401),
    ],
)  # fmt: skip
def test_a_page_of_another_site_does_not_use_what_a_browser_has_shown_the_proxy(page: dict[str, str], status: int) -> None:
    proxied = behind(INGRESS, "172.30.32.2")
    assert proxied.post("/v1/x", headers=page).status_code == status
    if status == 401:
        with pytest.raises(WebSocketDenialResponse), proxied.websocket_connect("/live", headers=page):
            raise AssertionError("it let us in")


def test_a_proxy_on_the_unix_socket_may_authenticate_users_too() -> None:
    assert behind(Proxies(unix=True), "").get("/v1/x").status_code == 200
    assert behind(Proxies(unix=True), "127.0.0.1").get("/v1/x").status_code == 401
