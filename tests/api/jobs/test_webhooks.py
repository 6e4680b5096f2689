from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import pytest

from open_speech.api.jobs.ssrf_guard import Guard
from open_speech.api.jobs.webhooks import Undelivered, WebhookSender, key_of, signature
from open_speech.config import SettingsError
from tests.waiting import PATIENCE_S

KEY = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def send(url: str, *, key: bytes = KEY, guard: Guard | None = None, timeout_s: float = PATIENCE_S) -> None:
    webhooks = WebhookSender(guard or Guard(allow_private=True), key, timeout_s=timeout_s)
    asyncio.run(webhooks.send(url, "msg_1", {"type": "audio.job.completed", "data": {"text": "Grüße"}}, 1_700_000_000.5))


def test_a_message_is_signed_as_standard_webhooks_says(receiver: Any) -> None:
    send(receiver.url)
    ((headers, body),) = receiver.came
    assert json.loads(body)["data"] == {"text": "Grüße"}
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1700000000")
    signed = base64.b64encode(hmac.new(KEY, b"msg_1.1700000000." + body, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signed}"
    assert headers["content-type"] == "application/json"


def test_the_signature_is_the_one_that_the_specification_shows() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_base64_behind_its_mark_or_any_text() -> None:
    assert key_of(SECRET) == KEY
    assert key_of("a long sentence") == b"a long sentence"
    assert key_of("") == b""
    with pytest.raises(SettingsError):
        key_of("whsec_not base64!")


def test_without_a_secret_a_message_is_not_signed(receiver: Any) -> None:
    send(receiver.url, key=b"")
    assert "webhook-signature" not in receiver.came[0][0]


@pytest.mark.parametrize(("status", "again"), [(500, True), (404, True), (429, True), (410, False)])
def test_an_answer_that_is_no_success_is_a_failure(receiver: Any, status: int, again: bool) -> None:
    receiver.answers.append(status)
    with pytest.raises(Undelivered) as failure:
        send(receiver.url)
    assert (failure.value.note, failure.value.again) == (f"status {status}", again)


def test_a_redirect_is_not_followed(receiver: Any) -> None:
    receiver.answers.append(307)
    receiver.location = receiver.url
    with pytest.raises(Undelivered):
        send(receiver.url)
    assert len(receiver.came) == 1


def test_a_receiver_that_says_nothing_is_given_up(receiver: Any) -> None:
    receiver.gate.clear()
    with pytest.raises(Undelivered) as failure:
        send(receiver.url, timeout_s=0.2)
    assert failure.value.again


def test_a_receiver_that_is_not_there_is_asked_again(receiver: Any) -> None:
    with pytest.raises(Undelivered) as failure:
        send("http://127.0.0.1:9/hook")
    assert failure.value.again


def test_a_private_receiver_is_not_called_and_not_asked_again(receiver: Any) -> None:
    with pytest.raises(Undelivered) as failure:
        send(receiver.url, guard=Guard(allow_private=False))
    assert not failure.value.again
    assert receiver.came == []


def test_what_is_connected_to_is_what_was_judged(receiver: Any) -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]
    port = receiver.url.split(":")[2]

    async def lookup(host: str, port: int) -> Sequence[str]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    with pytest.raises(Undelivered):
        send(f"http://hooks.example.com:{port}", guard=Guard(allow_private=False, lookup=lookup))
    assert receiver.came == []


def test_the_name_is_told_to_the_receiver_though_its_address_is_connected_to(receiver: Any) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    send(receiver.url.replace("127.0.0.1", "hooks.example.com"), guard=Guard(allow_private=True, lookup=lookup))
    assert receiver.came[0][0]["host"].startswith("hooks.example.com")
