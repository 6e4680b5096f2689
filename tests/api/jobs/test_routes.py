from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.codecs.wav import with_true_sizes
from open_speech.config import Settings
from tests.waiting import until

PATH = "/v1/audio/jobs"
SENTENCE = "Hello there world."
Until = Callable[..., dict[str, Any]]


def handed_in(client: TestClient, clip: bytes, **fields: Any) -> dict[str, Any]:
    answer = client.post(PATH, files={"file": ("a.wav", clip)}, data={"model": "whisper-1", **fields})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{PATH}/{body['id']}"
    return body


def test_a_file_is_handed_in_worked_off_and_fetched(client: TestClient, clip: bytes, until_job: Until) -> None:
    made = handed_in(client, clip)
    assert (made["status"], made["type"], made["filename"], made["object"]) == ("queued", "transcription", "a.wav", "audio.job")
    done = until_job(client, made["id"])
    assert (done["status"], done["progress"]) == ("completed", 1.0)
    result = client.get(done["result"]["url"])
    assert result.json()["text"] == SENTENCE


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt", "verbose_json"])
def test_a_transcript_is_fetched_in_any_format(client: TestClient, clip: bytes, until_job: Until, form: str) -> None:
    made = handed_in(client, clip, response_format="text")
    assert until_job(client, made["id"])["result"]["response_format"] == "text"
    url = f"{PATH}/{made['id']}/result"
    assert client.get(url).text.strip() == SENTENCE
    answer = client.get(url, params={"response_format": form})
    assert SENTENCE in answer.text
    at_once = client.post("/v1/audio/transcriptions", files={"file": clip}, data={"model": "whisper-1", "response_format": form})
    assert (answer.text, answer.headers["content-type"]) == (at_once.text, at_once.headers["content-type"])


def test_words_are_told_as_the_endpoint_that_answers_at_once_does(client: TestClient, clip: bytes, until_job: Until) -> None:
    fields = {"model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    made = client.post(PATH, files={"file": clip}, data=fields).json()
    until_job(client, made["id"])
    result = client.get(f"{PATH}/{made['id']}/result").json()
    assert [word["word"] for word in result["words"]] == SENTENCE.split()
    assert result == client.post("/v1/audio/transcriptions", files={"file": clip}, data=fields).json()


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_a_text_is_spoken_to_a_file(client: TestClient, until_job: Until, form: str) -> None:
    body = {"model": "tts-1", "input": SENTENCE, "voice": "alloy", "response_format": form}
    answer = client.post(PATH, json={**body, "type": "speech"})
    assert answer.status_code == 202, answer.text
    done = until_job(client, answer.json()["id"])
    assert (done["status"], done["type"], done["filename"]) == ("completed", "speech", None)
    sound = client.get(done["result"]["url"])
    streamed = client.post("/v1/audio/speech", json=body).content
    assert sound.content == with_true_sizes(streamed, len(streamed))
    assert sound.headers["content-type"].startswith("audio/")
    assert done["result"]["bytes"] == len(sound.content)
    assert done["audio_seconds"] > 0.5
    refused = client.get(done["result"]["url"], params={"response_format": "flac"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format")


def test_json_is_speech_unless_it_says_otherwise_and_a_long_text_is_taken(client: TestClient, until_job: Until, settings: Settings) -> None:
    text = "One more word. " * 400
    assert len(text) > settings.tts_max_input_length
    body = {"model": "tts-1", "input": text, "voice": "alloy", "response_format": "pcm"}
    made = client.post(PATH, json=body).json()
    assert until_job(client, made["id"])["status"] == "completed"


def test_a_request_is_checked_before_it_is_taken(client: TestClient, clip: bytes, settings: Settings) -> None:
    def refusal(param: str | None, status: int = 400, **request: Any) -> None:
        answer = client.post(PATH, **request)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["param"] == param

    file, model = {"file": ("a.wav", clip)}, {"model": "whisper-1"}
    speech = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}
    refusal("model", files=file, data={"model": "tts-1"})
    refusal("file", data=model, files={"other": ("", b"")})
    refusal("type", files=file, data={**model, "type": "dance"})
    refusal("type", json={**speech, "type": "transcription"})
    refusal("type", files=file, data={**speech, "type": "speech"})
    refusal("stream", files=file, data={"model": "gpt-4o-transcribe", "stream": "true"})
    refusal("temperature", files=file, data={**model, "temperature": "7"})
    refusal("language", files=file, data={**model, "language": "klingon"})
    refusal("voice", json={**speech, "voice": "nobody"})
    refusal("input", json={**speech, "input": " "})
    refusal("stream_format", json={**speech, "stream_format": "sse"})
    refusal("captions", json={**speech, "captions": "srt"})
    refusal("webhook_url", json={**speech, "webhook_url": "ftp://example.com/"})
    refusal("webhook_include", json={**speech, "webhook_url": "https://example.com/", "webhook_include": "everything"})
    refusal(None, json=[1, 2])
    refusal(None, content=b'{"input": "\\ud800"}', headers={"content-type": "application/json"})
    refusal(None, content=b'{"input": NaN}', headers={"content-type": "application/json"})
    refusal("model", 404, files=file, data={"model": "nothing/like-it"})
    refusal("Idempotency-Key", files=file, data=model, headers={"Idempotency-Key": "k" * 300})
    assert client.get(PATH).json()["data"] == []
    assert not settings.os_jobs_dir.exists()


def test_a_file_that_is_no_sound_fails_with_the_error_that_the_endpoint_gives_at_once(client: TestClient, until_job: Until) -> None:
    made = handed_in(client, b"no sound at all")
    failed = until_job(client, made["id"])
    assert failed["status"] == "failed"
    at_once = client.post("/v1/audio/transcriptions", files={"file": b"no sound at all"}, data={"model": "whisper-1"})
    assert {"error": failed["error"]} == at_once.json()
    result = client.get(f"{PATH}/{made['id']}/result")
    assert (result.status_code, result.json()) == (at_once.status_code, at_once.json())


def test_the_figures_tell_of_jobs(client: TestClient, until_job: Until) -> None:
    until_job(client, handed_in(client, b"no sound at all")["id"])
    told = client.get("/metrics").text
    assert 'open_speech_jobs{status="failed",type="transcription"} 1.0' in told
    assert 'open_speech_jobs{status="queued",type="speech"} 0.0' in told


def test_several_files_are_a_job_each_under_one_batch(client: TestClient, clip: bytes, until_job: Until) -> None:
    files = [("file", ("a.wav", clip)), ("file", ("b.wav", b"no sound")), ("file[]", ("c.wav", clip))]
    answer = client.post(PATH, files=files, data={"model": "whisper-1", "response_format": "text"})
    assert answer.status_code == 202, answer.text
    batch = answer.json()
    assert [(job["filename"], job["batch_index"]) for job in batch["data"]] == [("a.wav", 0), ("b.wav", 1), ("c.wav", 2)]
    assert {job["batch_id"] for job in batch["data"]} == {batch["batch_id"]}
    assert [until_job(client, job["id"])["status"] for job in batch["data"]] == ["completed", "failed", "completed"]
    listed = client.get(PATH, params={"batch_id": batch["batch_id"]}).json()
    assert {job["id"] for job in listed["data"]} == {job["id"] for job in batch["data"]}
    assert answer.headers["location"] == f"{PATH}?batch_id={batch['batch_id']}"


def test_more_files_than_may_wait_are_refused(settings: Settings, served: Any, clip: bytes) -> None:
    with served(settings.model_copy(update={"os_batch_max_pending": 2}), works=False) as client:
        many = client.post(PATH, files=[("file", clip)] * 3, data={"model": "whisper-1"})
        assert (many.status_code, many.json()["error"]["param"]) == (400, "file")
        assert client.post(PATH, files=[("file", clip)] * 2, data={"model": "whisper-1"}).status_code == 202
        full = client.post(PATH, files={"file": clip}, data={"model": "whisper-1"})
        assert (full.status_code, full.json()["error"]["code"]) == (429, "server_overloaded")
        assert int(full.headers["retry-after"]) >= 1


def test_a_full_folder_is_answered_507_until_something_is_deleted(settings: Settings, served: Any, clip: bytes) -> None:
    with served(settings.model_copy(update={"os_jobs_max_mb": 1}), works=False) as client:
        first = handed_in(client, clip + bytes(700_000))
        full = client.post(PATH, files={"file": clip + bytes(700_000)}, data={"model": "whisper-1"})
        assert (full.status_code, full.json()["error"]["code"]) == (507, "insufficient_storage")
        assert client.delete(f"{PATH}/{first['id']}").json() == {"id": first["id"], "object": "audio.job.deleted", "deleted": True}
        handed_in(client, clip + bytes(700_000))


def test_a_request_of_too_many_bytes_is_refused(settings: Settings, served: Any) -> None:
    with served(settings.model_copy(update={"os_batch_max_total_mb": 1, "os_max_upload_mb": 4}), works=False) as client:
        assert client.post(PATH, files={"file": bytes(2_000_000)}, data={"model": "whisper-1"}).status_code == 413


def test_the_same_key_gives_the_same_job(client: TestClient, clip: bytes) -> None:
    def post(file: bytes, key: str) -> Any:
        return client.post(PATH, files={"file": ("a.wav", file)}, data={"model": "whisper-1"}, headers={"Idempotency-Key": key})

    first = post(clip, "one").json()
    assert post(clip, "one").json()["id"] == first["id"]
    assert post(clip, "two").json()["id"] != first["id"]
    reused = post(clip + b"\0\0", "one")
    assert (reused.status_code, reused.json()["error"]["code"]) == (409, "idempotency_key_reused")
    files = [("file", clip), ("file", clip)]
    batch, again = (client.post(PATH, files=files, data={"model": "whisper-1"}, headers={"Idempotency-Key": "b"}).json() for _ in range(2))
    assert batch["batch_id"] == again["batch_id"]
    assert [job["id"] for job in batch["data"]] == [job["id"] for job in again["data"]]


def test_jobs_are_listed_in_pages_and_by_what_is_asked(settings: Settings, served: Any, clip: bytes) -> None:
    with served(settings, works=False) as client:
        made = [handed_in(client, clip)["id"] for _ in range(3)]
        made.append(client.post(PATH, json={"model": "tts-1", "input": "Hello.", "voice": "alloy"}).json()["id"])
        client.post(f"{PATH}/{made[0]}/cancel")
        newest = list(reversed(made))

        def ids(**params: Any) -> list[str]:
            return [job["id"] for job in client.get(PATH, params=params).json()["data"]]

        assert ids() == newest
        page = client.get(PATH, params={"limit": 3}).json()
        assert ([job["id"] for job in page["data"]], page["first_id"], page["last_id"], page["has_more"]) == (
            newest[:3], newest[0], newest[2], True,
        )  # fmt: skip
        last = client.get(PATH, params={"limit": 3, "after": page["last_id"]}).json()
        assert ([job["id"] for job in last["data"]], last["has_more"]) == (newest[3:], False)
        assert ids(status="cancelled") == [made[0]]
        assert ids(type="speech") == [made[3]]
        assert ids(status="running") == []
        for wrong in ({"status": "dancing"}, {"limit": 0}, {"limit": 101}, {"after": "job_nobody"}):
            refused = client.get(PATH, params=wrong)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, next(iter(wrong)))


def test_an_upload_is_deleted_when_its_job_is_over(client: TestClient, clip: bytes, until_job: Until, settings: Settings) -> None:
    made = handed_in(client, clip)
    until_job(client, made["id"])
    assert sorted(os.listdir(settings.os_jobs_dir / made["id"])) == ["job.json", "lock", "order.json", "result.json"]


def test_what_no_job_reads_is_not_kept_however_it_looks(client: TestClient, until_job: Until) -> None:
    deep: Any = []
    for _ in range(60):
        deep = [deep]
    answer = client.post(PATH, json={"model": "tts-1", "input": "Hello.", "voice": "alloy", "more": deep})
    assert answer.status_code == 202, answer.text
    assert until_job(client, answer.json()["id"])["status"] == "completed"


def test_a_folder_that_cannot_be_used_is_an_error_and_ends_nothing(settings: Settings, served: Any, clip: bytes) -> None:
    settings.os_jobs_dir.parent.mkdir(exist_ok=True)
    settings.os_jobs_dir.write_bytes(b"in the way")
    with served(settings) as client:
        time.sleep(0.4)
        refused = client.post(PATH, files={"file": clip}, data={"model": "whisper-1"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "storage_failed")
        settings.os_jobs_dir.unlink()
        handed_in(client, clip)


LONG = {"model": "tts-1", "input": "So many words to say here. " * 30_000, "voice": "alloy", "response_format": "pcm"}


def test_a_job_that_is_cancelled_stops_the_engine(client: TestClient, until_job: Until) -> None:
    made = client.post(PATH, json=LONG).json()
    until_job(client, made["id"], "running")
    app: Any = client.app
    line = app.state.engine.pool.admission.lines["tones-tts"]
    until(lambda: line.under_way)
    early = client.get(f"{PATH}/{made['id']}/result")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "conflict")
    cancelled = client.post(f"{PATH}/{made['id']}/cancel").json()
    assert cancelled["status"] == "cancelled"
    assert client.post(f"{PATH}/{made['id']}/cancel").json() == cancelled
    until(lambda: not line.under_way)
    assert client.get(f"{PATH}/{made['id']}").json() == cancelled


def test_a_job_that_is_deleted_while_it_runs_is_stopped_and_leaves_nothing(
    client: TestClient, until_job: Until, settings: Settings
) -> None:
    made = client.post(PATH, json=LONG).json()
    until_job(client, made["id"], "running")
    app: Any = client.app
    assert client.delete(f"{PATH}/{made['id']}").status_code == 200
    for path in ("", "/result", "/events"):
        assert client.get(f"{PATH}/{made['id']}{path}").status_code == 404
    until(lambda: not app.state.engine.pool.admission.lines["tones-tts"].under_way)
    assert os.listdir(settings.os_jobs_dir) == [".lock"]


def test_a_job_that_is_over_cannot_be_cancelled(client: TestClient, clip: bytes, until_job: Until) -> None:
    made = handed_in(client, clip)
    until_job(client, made["id"])
    refused = client.post(f"{PATH}/{made['id']}/cancel")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize("name", ["job_" + "0" * 32, "nothing", "..", "job_%2e%2e"])
def test_what_is_no_job_is_not_found(client: TestClient, name: str) -> None:
    for verb, path in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
        answer = client.request(verb, f"{PATH}/{name}{path}")
        assert answer.status_code in (404, 405), answer.text
        assert "error" in answer.json()


def test_the_events_of_a_job_tell_every_step_to_its_end(client: TestClient, clip: bytes) -> None:
    made = handed_in(client, clip)
    told = events(client.get(f"{PATH}/{made['id']}/events").text)
    assert told[-1]["type"] == "audio.job.completed"
    assert told[-1]["data"] == client.get(f"{PATH}/{made['id']}").json()
    assert all(event["data"]["id"] == made["id"] for event in told)


def test_the_events_of_a_long_job_tell_its_progress(client: TestClient) -> None:
    text = "So many words to say here. " * 500
    made = client.post(PATH, json={**LONG, "input": text}).json()
    shares = [event["data"]["progress"] for event in events(client.get(f"{PATH}/{made['id']}/events").text)]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert any(0 < share < 1 for share in shares)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_what_was_taken_before_a_restart_is_done_after_it(settings: Settings, served: Any, clip: bytes, until_job: Until) -> None:
    with served(settings, works=False) as client:
        queued, running, damaged = (handed_in(client, clip)["id"] for _ in range(3))
        app: Any = client.app
        for name in (running, damaged):
            app.state.jobs.store.change(name, lambda job: job.begun(1))
        app.state.jobs.store.path(damaged, "job.json").write_bytes(b'{"id":')
    with served(settings) as client:
        for name in (queued, running, damaged):
            assert until_job(client, name)["status"] == "completed"
            assert client.get(f"{PATH}/{name}/result").json()["text"] == SENTENCE


def test_a_job_that_a_stop_interrupted_is_done_after_the_restart(settings: Settings, served: Any, until_job: Until) -> None:
    text = "So many words to say here. " * 300
    with served(settings) as client:
        made = client.post(PATH, json={**LONG, "input": text}).json()
        until_job(client, made["id"], "running")
    with served(settings, works=False) as client:
        assert client.get(f"{PATH}/{made['id']}").json()["status"] == "queued"
    with served(settings) as client:
        done = until_job(client, made["id"])
        assert done["status"] == "completed"
        assert len(client.get(done["result"]["url"]).content) == done["result"]["bytes"]


def test_a_webhook_brings_the_transcript_where_that_is_asked_for(client: TestClient, clip: bytes, until_job: Until, receiver: Any) -> None:
    made = handed_in(client, clip, webhook_url=receiver.url, webhook_include="result")
    assert made["webhook"]["status"] == "waiting"
    until(lambda: client.get(f"{PATH}/{made['id']}").json()["webhook"]["status"] == "delivered")
    ((_, body),) = receiver.came
    message = json.loads(body)
    assert message["type"] == "audio.job.completed"
    assert message["data"]["output"]["text"] == SENTENCE
    assert message["data"]["result"]["url"] == f"{PATH}/{made['id']}/result"
    assert message["data"]["webhook"]["attempts"] == 0


def test_a_webhook_brings_no_transcript_unless_that_is_asked_for(client: TestClient, clip: bytes, receiver: Any) -> None:
    handed_in(client, clip, webhook_url=receiver.url)
    until(lambda: receiver.came)
    assert SENTENCE.encode() not in receiver.came[0][1]


def test_a_webhook_to_this_machine_is_refused_unless_it_is_allowed(settings: Settings, served: Any, clip: bytes) -> None:
    with served(settings.model_copy(update={"os_webhook_allow_private": False}), works=False) as client:
        for url in ("http://127.0.0.1:8100/x", "http://localhost/x", "http://[::1]/", "http://169.254.169.254/", "http://0x7f000001/"):
            refused = client.post(PATH, files={"file": clip}, data={"model": "whisper-1", "webhook_url": url})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "webhook_url")
