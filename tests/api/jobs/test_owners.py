"""Whose a job is, by the keys of its requests."""

from __future__ import annotations

import re
from typing import Any

import pytest

from open_speech.api.jobs.bodies import PATH
from open_speech.api.jobs.owners import owner_of
from open_speech.config import Settings
from open_speech.security.api_keys import KeyRing


def test_an_owner_is_the_holder_of_the_key_and_nobody_without_keys() -> None:
    ring = KeyRing.read("sesame,them:open")
    first, second = ring.keys
    assert [owner_of(name, ring) for name in ("key-1", "them", None, "", "other")] == [first.owner, second.owner, "", "", ""]
    assert owner_of(None, KeyRing()) == ""


def test_a_job_belongs_to_the_key_that_made_it(settings: Settings, served: Any, clip: bytes) -> None:
    ours, theirs = {"Authorization": "Bearer sk-ours-0123456789"}, {"Authorization": "Bearer sk-theirs-0123456789"}
    with served(settings.model_copy(update={"os_api_key": "sk-ours-0123456789,them:sk-theirs-0123456789"}), works=False) as client:
        made = client.post(PATH, files={"file": clip}, data={"model": "whisper-1"}, headers={**ours, "Idempotency-Key": "k"}).json()
        assert client.get(f"{PATH}/{made['id']}", headers=ours).json() == made
        for verb, path in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
            assert client.request(verb, f"{PATH}/{made['id']}{path}", headers=theirs).status_code == 404
            assert client.request(verb, f"{PATH}/{made['id']}{path}").status_code == 401
        assert client.get(PATH, headers=theirs).json()["data"] == []
        other = client.post(PATH, files={"file": clip}, data={"model": "whisper-1"}, headers={**theirs, "Idempotency-Key": "k"}).json()
        assert other["id"] != made["id"]
        assert client.get(PATH, headers=theirs, params={"after": made["id"]}).status_code == 400
    # The keys in another order are the same keys.
    with served(settings.model_copy(update={"os_api_key": "them:sk-theirs-0123456789,sk-ours-0123456789"}), works=False) as client:
        assert [job["id"] for job in client.get(PATH, headers=ours).json()["data"]] == [made["id"]]
        assert [job["id"] for job in client.get(PATH, headers=theirs).json()["data"]] == [other["id"]]


@pytest.mark.parametrize("name", ["key-1", "key-2", "key"])
def test_a_key_that_is_called_as_another_ones_place_has_no_jobs_of_it(settings: Settings, served: Any, clip: bytes, name: str) -> None:
    ours, theirs = {"Authorization": "Bearer sk-ours-0123456789"}, {"Authorization": "Bearer sk-theirs-0123456789"}
    for keys in (f"sk-ours-0123456789,{name}:sk-theirs-0123456789", f"{name}:sk-theirs-0123456789,sk-ours-0123456789"):
        with served(settings.model_copy(update={"os_api_key": keys}), works=False) as client:
            made = client.post(PATH, files={"file": clip}, data={"model": "whisper-1"}, headers=ours).json()
            assert client.get(f"{PATH}/{made['id']}", headers=ours).status_code == 200
            assert client.get(f"{PATH}/{made['id']}", headers=theirs).status_code == 404
            assert client.get(PATH, headers=theirs).json()["data"] == []


def test_jobs_that_an_earlier_server_kept_have_the_same_owners(settings: Settings, served: Any, clip: bytes) -> None:
    ours, theirs = {"Authorization": "Bearer sk-ours-0123456789"}, {"Authorization": "Bearer sk-theirs-0123456789"}
    keyed = settings.model_copy(update={"os_api_key": "sk-ours-0123456789,them:sk-theirs-0123456789"})
    with served(keyed, works=False) as client:
        made = [client.post(PATH, files={"file": clip}, data={"model": "whisper-1"}, headers=key).json()["id"] for key in (ours, theirs)]
    for order in settings.os_jobs_dir.glob("*/order.json"):
        text = order.read_text(encoding="utf-8")
        assert '"owner":"key:' in text or '"owner":"name:them"' in text
        order.write_text(re.sub('"owner":"[a-z]+:', '"owner":"', text), encoding="utf-8")
    with served(keyed, works=False) as client:
        for name, mine, other in ((made[0], ours, theirs), (made[1], theirs, ours)):
            assert [job["id"] for job in client.get(PATH, headers=mine).json()["data"]] == [name]
            assert client.get(f"{PATH}/{name}", headers=other).status_code == 404
