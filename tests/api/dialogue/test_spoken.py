"""POST /v1/dialogue over HTTP: GemmaVoice's contract, sessions, and what happens when something fails."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.audio import Audio
from open_speech.codecs import wav_bytes
from tests.api.dialogue.conftest import Serve, decoded, dialogue, heard, spoken
from tests.language_model import USAGE, LanguageModelServer
from tests.waiting import until

SILENCE = wav_bytes(Audio(np.zeros(16_000, np.float32), 16_000))


def events(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("path", ["/v1/dialogue", "/v1/conversation/dialogue"])
def test_a_spoken_question_has_a_spoken_answer(client: TestClient, path: str) -> None:
    answer = dialogue(client, "Good morning to all of you.", path=path)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["transcript"]["text"] == "Good morning to all of you."
    assert body["transcript"]["segments"][0]["text"] == "Good morning to all of you."
    assert body["response_text"] == "Good morning to all of you."
    assert (body["response_format"], body["media_type"], body["reference_id"]) == ("wav", "audio/wav", None)
    audio = decoded(body["audio_base64"])
    assert heard(client, audio) == body["response_text"]
    assert int.from_bytes(audio[24:28], "little") == body["sample_rate"]
    assert int.from_bytes(audio[4:8], "little") == len(audio) - 8
    assert (body["model"], body["finish_reason"], body["truncated"], body["speech_error"]) == ("echo", "stop", False, None)
    assert body["usage"]["completion_tokens"] == 6 == body["timings"]["tokens"]
    timings = body["timings"]
    # Rounded to milliseconds, two of them may be equal on a fast machine.
    assert 0 < timings["transcription_s"] <= timings["first_token_s"] <= timings["first_audio_s"] <= timings["total_s"]
    assert timings["audio_s"] == pytest.approx((len(audio) - 44) / 2 / body["sample_rate"], abs=0.001)


def test_the_streamed_form_has_the_same_content_in_lines(client: TestClient) -> None:
    answer = dialogue(client, "Good morning to all. How is it going today?", stream_audio="true", synthesis_config='{"sample_rate": 16000}')
    lines = events(answer)
    names = [line["event"] for line in lines]
    assert names[:2] == ["metadata", "transcript"]
    assert names[-1] == "done"
    assert names.count("assistant_text") == 1
    by_name: dict[str, Any] = {line["event"]: line.get("data") for line in lines}
    assert by_name["metadata"] == {"response_format": "wav", "media_type": "audio/wav", "sample_rate": 16_000, "reference_id": None}
    assert by_name["transcript"]["text"] == "Good morning to all. How is it going today?"
    assert by_name["assistant_text"] == {"text": "Good morning to all. How is it going today?"}
    deltas = [line["data"]["text"] for line in lines if line["event"] == "assistant_text_delta"]
    assert "".join(deltas) == "Good morning to all. How is it going today?"
    audio = b"".join(decoded(line["data"]["audio_base64"]) for line in lines if line["event"] == "audio_chunk")
    assert heard(client, audio) == "Good morning to all. How is it going today?"
    assert by_name["done"]["timings"]["audio_s"] > 1
    assert by_name["done"]["finish_reason"] == "stop"


def test_instructions_and_options_reach_the_model(scripted: TestClient, language_model: LanguageModelServer) -> None:
    config = json.dumps({"max_tokens": 33, "temperature": 0, "stop": ["\n"], "seed": 7, "top_k": 5, "unknown": None})
    body = dialogue(scripted, "Hello there.", instructions="Be brief.", generation_config=config).json()
    assert body["response_text"] == language_model.answer
    assert body["usage"] == USAGE
    (request,) = language_model.requests
    assert request["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there."}]
    sent = {name: request[name] for name in ("max_tokens", "temperature", "top_p", "stop", "seed", "top_k")}
    assert sent == {"max_tokens": 33, "temperature": 0.0, "top_p": 0.95, "stop": ["\n"], "seed": 7, "top_k": 5}
    assert "min_p" not in request, "another server may not know it, and the client did not set it"


@pytest.mark.parametrize(("form", "beginning"), [("mp3", b"\xff"), ("flac", b"fLaC"), ("opus", b"OggS"), ("pcm", b"")])
def test_the_answer_is_in_the_format_that_was_asked_for(client: TestClient, form: str, beginning: bytes) -> None:
    body = dialogue(client, "Good morning.", synthesis_config=json.dumps({"response_format": form, "reference_id": "default"})).json()
    assert body["response_format"] == form
    assert decoded(body["audio_base64"]).startswith(beginning)
    assert len(decoded(body["audio_base64"])) > 1000


def test_silence_has_no_answer_and_no_call_of_the_model(scripted: TestClient, language_model: LanguageModelServer) -> None:
    body = dialogue(scripted, SILENCE, session_id="kitchen").json()
    assert (body["response_text"], body["audio_base64"], body["finish_reason"]) == ("", "", "no_speech")
    lines = events(dialogue(scripted, SILENCE, stream_audio="true"))
    assert [line["event"] for line in lines] == ["metadata", "transcript", "done"]
    assert language_model.requests == []
    assert scripted.get("/v1/dialogue/sessions").json()["data"] == []


@pytest.mark.parametrize(
    ("fields", "status", "named"),
    [
        ({"generation_config": "{"}, 400, "generation_config"),
        ({"generation_config": "[1]"}, 400, "generation_config"),
        ({"generation_config": '{"max_tokens": 0}'}, 400, "generation_config.max_tokens"),
        ({"generation_config": '{"temperature": "hot"}'}, 400, "generation_config.temperature"),
        ({"synthesis_config": '{"format": "midi"}'}, 400, "synthesis_config"),
        ({"synthesis_config": '{"references": ["AAAA"]}'}, 400, "synthesis_config.references"),
        ({"synthesis_config": '{"reference_id": "nobody"}'}, 400, "voice"),
        ({"session_id": "x" * 201}, 400, "session_id"),
        ({"model": "nobody/nothing-at-all"}, 404, "nobody/nothing-at-all"),
        ({"stream_audio": "perhaps"}, 400, "stream_audio"),
    ],
)
def test_an_invalid_field_is_named(client: TestClient, fields: dict[str, str], status: int, named: str) -> None:
    answer = dialogue(client, SILENCE, **fields)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["detail"]
    assert named in answer.json()["detail"]


def test_a_file_that_is_missing_empty_or_no_audio_is_refused(client: TestClient) -> None:
    missing = client.post("/v1/dialogue", files={"other": ("x", b"x")})
    empty, broken = dialogue(client, b""), dialogue(client, b"no audio at all", stream_audio="true")
    assert [answer.status_code for answer in (missing, empty, broken)] == [400, 400, 400]
    assert "`file`" in missing.json()["detail"]
    assert "empty" in empty.json()["detail"]
    assert list(broken.json()) == ["detail"]


def test_without_a_language_model_the_error_says_how_to_get_one(serve: Serve) -> None:
    client = serve(llm_backends=("llama",), llm_model="default")
    for path in ("/v1/dialogue", "/v1/generate"):
        answer = dialogue(client, SILENCE) if path == "/v1/dialogue" else client.post(path, json={"prompt": "Hello"})
        assert answer.status_code == 503, answer.text
        assert "models pull" in answer.json()["detail"]


def test_a_session_remembers_its_turns_and_is_deleted(scripted: TestClient, language_model: LanguageModelServer) -> None:
    for said in ("My name is Ann.", "Who am I?"):
        assert dialogue(scripted, said, session_id="kitchen/1").json()["session_id"] == "kitchen/1"
    roles = [message["role"] for message in language_model.requests[-1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    (listed,) = scripted.get("/v1/dialogue/sessions").json()["data"]
    assert (listed["id"], listed["turns"]) == ("kitchen/1", 2)
    assert scripted.delete("/v1/dialogue/sessions/kitchen%2F1").json()["deleted"] is True
    gone = scripted.delete("/v1/dialogue/sessions/kitchen%2F1")
    assert (gone.status_code, gone.json()) == (404, {"detail": "No session has this id. (field `session_id`)"})
    dialogue(scripted, "Who am I?", session_id="kitchen/1")
    assert len(language_model.requests[-1]["messages"]) == 1


def test_no_key_reads_the_session_of_another(serve: Serve) -> None:
    client = serve(os_api_key="ann:sesame,ben:secret")
    assert dialogue(client, "My name is Ann.", key="sesame", session_id="kitchen").status_code == 200

    def sessions(key: str) -> list[str]:
        found = client.get("/v1/dialogue/sessions", headers={"Authorization": f"Bearer {key}"}).json()["data"]
        return [session["id"] for session in found]

    assert (sessions("sesame"), sessions("secret")) == (["kitchen"], [])
    assert client.delete("/v1/dialogue/sessions/kitchen", headers={"Authorization": "Bearer secret"}).status_code == 404
    assert sessions("sesame") == ["kitchen"]
    assert client.get("/v1/dialogue/sessions").status_code == 401


def test_sessions_survive_a_restart_if_they_have_a_folder(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "dialogues"
    assert dialogue(serve(os_dialogue_dir=folder), "My name is Ann.", session_id="../../kitchen").status_code == 200
    (file,) = folder.iterdir()
    assert file.name.endswith(".json")
    (listed,) = serve(os_dialogue_dir=folder).get("/v1/dialogue/sessions").json()["data"]
    assert (listed["id"], listed["turns"]) == ("../../kitchen", 1)


def test_a_session_expires(serve: Serve) -> None:
    client = serve(os_dialogue_ttl_s=0.05)
    assert dialogue(client, "My name is Ann.", session_id="kitchen").status_code == 200
    until(lambda: client.get("/v1/dialogue/sessions").json()["data"] == [])


def test_without_speech_the_answer_is_text(serve: Serve) -> None:
    audio = spoken(serve(), "Good morning to all of you.")
    client = serve(tts_backends=("piper",), tts_model="piper/en_US-joe-medium", tts_voice="")  # whose files are not here
    body = dialogue(client, audio).json()
    assert (body["response_text"], body["audio_base64"]) == ("Good morning to all of you.", "")
    assert body["speech_error"]
    lines = events(dialogue(client, audio, stream_audio="true"))
    assert [line["event"] for line in lines if line["event"] != "assistant_text_delta"] == [
        "metadata",
        "transcript",
        "assistant_text",
        "done",
    ]
    assert lines[-1]["data"]["speech_error"]


def test_a_model_that_fails_in_an_answer_is_an_error_and_stores_nothing(scripted: TestClient) -> None:
    assert dialogue(scripted, "Hello there.", session_id="kitchen").status_code == 200
    whole = dialogue(scripted, "break off", session_id="kitchen")
    assert (whole.status_code, list(whole.json())) == (502, ["detail"])
    lines = events(dialogue(scripted, "break off", session_id="kitchen", stream_audio="true"))
    assert [lines[0]["event"], lines[1]["event"], lines[-1]["event"]] == ["metadata", "transcript", "error"]
    assert lines[-1]["data"]["code"] == "llm_failed"
    assert dialogue(scripted, "Hello there.", session_id="kitchen").status_code == 200
    (listed,) = scripted.get("/v1/dialogue/sessions").json()["data"]
    assert listed["turns"] == 2


def test_a_conversation_beyond_the_context_drops_turns(serve: Serve) -> None:
    client = serve(llm_context_size=256, os_dialogue_max_tokens=100_000)
    said = " ".join(["several words in a row that are repeated"] * 6) + "."
    answers = [dialogue(client, said, session_id="kitchen").json() for _ in range(4)]
    assert answers[0]["response_text"] == said
    assert all(said.startswith(answer["response_text"]) for answer in answers)
    assert answers[0]["dropped_turns"] == 0
    assert answers[-1]["dropped_turns"] > 0


def test_an_endless_answer_is_ended(serve: Serve) -> None:
    client = serve(os_dialogue_max_speech_s=2.0)
    body = dialogue(client, "forever").json()
    assert (body["finish_reason"], body["truncated"]) == ("max_speech", True)
    assert body["response_text"].startswith("This is sentence number")
    short = dialogue(serve(), "forever", generation_config='{"max_tokens": 5}').json()
    assert (short["response_text"], short["finish_reason"]) == ("This is sentence number 1.", "length")


def test_two_requests_of_one_session_at_once_are_both_answered(client: TestClient) -> None:
    audio = {said: spoken(client, said) for said in ("The first one.", "The second one.")}
    answers: dict[str, str] = {}

    def ask(said: str) -> None:
        answers[said] = dialogue(client, audio[said], session_id="kitchen").json()["response_text"]

    threads = [threading.Thread(target=ask, args=(said,)) for said in audio]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {said: said for said in audio}
    (listed,) = client.get("/v1/dialogue/sessions").json()["data"]
    assert listed["turns"] == 2


def test_the_stages_are_measured_under_gemmavoices_names(client: TestClient) -> None:
    dialogue(client, "Good morning to all of you.")
    text = client.get("/metrics").text
    for service in ("stt", "llm", "tts"):
        assert f'app_external_call_duration_seconds_count{{service="{service}"}} 1.0' in text
    assert 'app_pipeline_duration_seconds_count{pipeline="dialogue"} 1.0' in text
