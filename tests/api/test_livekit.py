from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.testclient import TestClient

from open_speech import config
from open_speech.api.livekit import Participant, claims_of
from open_speech.app import create_app
from open_speech.config import Settings, SettingsError

SECRET = "a secret that LiveKit shares with this server"
LIVEKIT = {"livekit_url": "wss://livekit.example.org", "livekit_api_key": "APIkey", "livekit_api_secret": SECRET}
DAY_S = 86400


def client_of(folder: Path, **values: Any) -> TestClient:
    """The app without an engine: tokens need none."""
    return TestClient(create_app(Settings(os_models_dir=folder, **{**LIVEKIT, **values})))


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return client_of(tmp_path)


def claims(answer: Any, secret: str = SECRET) -> dict[str, Any]:
    """The claims of the token in a response, verified as LiveKit's server does: signature, issuer, `nbf` and `exp`."""
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = jwt.decode(
        answer.json()["token"], secret, algorithms=["HS256"], issuer="APIkey", options={"require": ["iss", "sub", "nbf", "exp"]}
    )
    return read


def test_a_participant_may_join_one_room_and_speak_there(client: TestClient) -> None:
    answer = client.post("/v1/livekit/token", json={"room_name": "den", "participant_name": "Ann", "participant_identity": "ann-1"})
    body = answer.json()
    assert {key: body[key] for key in body if key != "token"} == {
        "url": "wss://livekit.example.org", "room_name": "den", "participant_identity": "ann-1",
    }  # fmt: skip
    read = claims(answer)
    assert (read["sub"], read["name"], read["exp"] - read["nbf"]) == ("ann-1", "Ann", DAY_S)
    assert read["video"] == {"roomJoin": True, "room": "den", "canPublish": True, "canSubscribe": True, "canPublishData": True}
    assert read["roomConfig"] == {"agents": [{"agentName": "gemma-voice-agent", "metadata": "{}"}]}
    assert "kind" not in read
    assert answer.headers["cache-control"] == "no-store"
    assert jwt.get_unverified_header(body["token"]) == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize("content", [None, b"{}", b"null"])
def test_without_fields_the_room_is_that_of_the_settings_and_the_identity_is_random(tmp_path: Path, content: bytes | None) -> None:
    client = client_of(tmp_path, livekit_room_name="lobby", livekit_token_ttl=60)
    headers = {"Content-Type": "application/json"}
    first, second = (claims(client.post("/v1/livekit/token", content=content, headers=headers)) for _ in range(2))
    assert first["video"]["room"] == "lobby"
    assert first["exp"] - first["nbf"] == 60
    assert first["sub"].startswith("user-")
    assert first["name"] == first["sub"] != second["sub"]


def test_the_options_of_the_agent_are_the_metadata_of_its_job(client: TestClient, tmp_path: Path) -> None:
    fields = {"agent_instructions": " Be brief. ", "agent_voice_reference_id": "äbo", "agent_language": "id"}
    (agent,) = claims(client.post("/v1/livekit/token", json=fields))["roomConfig"]["agents"]
    assert json.loads(agent["metadata"]) == {"instructions": "Be brief.", "voice_reference_id": "äbo", "language": "id"}
    other = claims(client_of(tmp_path, livekit_agent_name="mine").post("/v1/livekit/token", json={"agent_language": " "}))
    assert other["roomConfig"]["agents"] == [{"agentName": "mine", "metadata": "{}"}]
    assert "roomConfig" not in claims(client_of(tmp_path, livekit_agent_name="").post("/v1/livekit/token", json=fields))


def test_an_agent_is_marked_as_one_and_gets_no_right_beyond_its_room(client: TestClient) -> None:
    read = claims(client.post("/v1/livekit/agent-token", json={"room_name": "den"}))
    assert (read["sub"], read["kind"], read["video"]["room"]) == ("gemma-voice-agent", "agent", "den")
    assert read["video"]["canUpdateOwnMetadata"] is True
    assert not {"agent", "roomAdmin", "roomList", "roomCreate"} & set(read["video"])
    assert not {"roomConfig", "sip"} & set(read)
    named = client.post("/v1/livekit/agent-token", json={"participant_identity": "helper-2", "participant_name": "Helper"})
    assert (claims(named)["sub"], claims(named)["name"], named.json()["participant_identity"]) == ("helper-2", "Helper", "helper-2")


def test_the_claims_follow_the_clock() -> None:
    settings = Settings(**LIVEKIT, livekit_token_ttl=10)
    read = claims_of(Participant("ann", "Ann", "den"), settings, 1_000)
    assert (read["iss"], read["nbf"], read["exp"]) == ("APIkey", 1_000, 1_010)


def test_the_status_shows_no_secret(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/v1/livekit/status")
    assert answer.json() == {"enabled": True, "url": "wss://livekit.example.org", "default_room": "gemma-voice-room"}
    without = client_of(tmp_path, livekit_api_secret="").get("/v1/livekit/status")
    assert (without.status_code, without.json()) == (200, {"enabled": False, "url": None, "default_room": None})


@pytest.mark.parametrize("path", ["token", "agent-token"])
def test_without_livekit_the_error_names_the_settings(tmp_path: Path, path: str) -> None:
    answer = client_of(tmp_path, livekit_url="", livekit_api_secret="").post(f"/v1/livekit/{path}", json={})
    assert answer.status_code == 503
    assert answer.json() == {"detail": "LiveKit is not configured on this server: set LIVEKIT_URL, LIVEKIT_API_SECRET."}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'{"room_name": ""}', "room_name"),
        (b'{"room_name": "%s"}' % (b"x" * 129), "room_name"),
        (b'{"participant_identity": 7}', "participant_identity"),
        (b'{"agent_instructions": "%s"}' % (b"x" * 2001), "agent_instructions"),
        (b"[]", "JSON object"),
        (b"{", "JSON"),
    ],
)
def test_a_wrong_field_is_named_in_the_form_of_gemmavoice(client: TestClient, content: bytes, named: str) -> None:
    answer = client.post("/v1/livekit/token", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert list(answer.json()) == ["detail"]
    assert named in answer.json()["detail"]


def test_tokens_need_the_key_of_the_server(tmp_path: Path) -> None:
    client = client_of(tmp_path, os_api_key="sesame")
    assert client.post("/v1/livekit/token", json={}).status_code == 401
    assert client.post("/v1/livekit/token", json={}, headers={"X-API-Key": "sesame"}).status_code == 200


def test_the_variables_are_read_and_others_of_livekit_are_left_alone() -> None:
    variables = {name.upper(): value for name, value in LIVEKIT.items()}
    settings = config.load({**variables, "LIVEKIT_AGENT_NAME": "mine", "LIVEKIT_LOG_LEVEL": "debug"})
    assert (settings.livekit_url, settings.livekit_agent_name, settings.missing_for_livekit) == (LIVEKIT["livekit_url"], "mine", [])
    assert SECRET not in repr(settings)
    assert {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"} <= config.secrets()
    with pytest.raises(SettingsError, match="LIVEKIT_URL"):
        config.load({"LIVEKIT_URL": "livekit.example.org:7880"})
