"""What servers of every dialect tell of themselves, and that what they do not tell stops nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import Voice
from open_speech.errors import BackendFailed, BackendUnavailable
from open_speech.registry import OPENAI_VOICES
from runners.support.upstream_discovery import Discovery, discover, listening_offers, speaking_offers, voices_of
from runners.wiring import factories as parts

Say = Callable[..., Any]


def models(*rows: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": row} if isinstance(row, str) else row for row in rows]}


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (["af_bella", "am_adam"], ["af_bella", "am_adam"]),
        ({"voices": ["af_bella"]}, ["af_bella"]),
        ({"voices": [{"id": "af_bella", "name": "Bella"}]}, ["af_bella"]),
        ({"data": [{"name": "x", "language": "de"}]}, ["x"]),
        ({"voices": [{"voice_id": "v"}, {"id": "alloy", "kind": "alias"}, 3, None, {"id": ""}]}, ["v"]),
        ("no", []),
        (None, []),
    ],
)
def test_every_kind_of_list_of_voices_is_read(answer: Any, names: list[str]) -> None:
    assert [voice.id for voice in voices_of(answer)] == names


def test_a_voice_speaks_what_it_says_or_what_its_kokoro_name_says() -> None:
    languages = [voice.language for voice in voices_of([{"id": "x", "language": "de-DE"}, "bf_emma", "alloy"])]
    assert languages == ["de-DE", "en-GB", ""]


def test_openai(upstream: Any, json_reply: Say) -> None:
    names = ["gpt-5", "whisper-1", "gpt-4o-transcribe", "tts-1", "gpt-4o-mini-tts", "gpt-realtime", "text-embedding-3-small"]
    upstream.replies["/v1/models"] = [json_reply(models(*names))]
    found = discover(upstream.url, "s3cret")
    assert found.dialect == "openai"
    assert found.stt_models == ("whisper-1", "gpt-4o-transcribe")
    assert found.tts_models == ("tts-1", "gpt-4o-mini-tts")
    assert [voice.id for voice in found.voices["tts-1"]] == list(OPENAI_VOICES)
    assert upstream.seen[0].headers["Authorization"] == "Bearer s3cret"


def test_speaches_of_today_tells_voices_with_each_model(upstream: Any, json_reply: Say) -> None:
    kokoro = {"id": "speaches-ai/Kokoro-82M", "task": "text-to-speech"}
    whisper = {"id": "Systran/faster-whisper-base", "task": "automatic-speech-recognition", "language": ["en", "de"]}
    upstream.replies["/v1/models"] = [json_reply(models(whisper, kokoro))]
    upstream.replies["/v1/models/speaches-ai/Kokoro-82M"] = [json_reply({**kokoro, "voices": [{"name": "af_heart", "language": "en-us"}]})]
    found = discover(upstream.url, "")
    assert found == Discovery(
        "speaches",
        ("Systran/faster-whisper-base",),
        ("speaches-ai/Kokoro-82M",),
        {"speaches-ai/Kokoro-82M": (Voice("af_heart", "en-us"),)},
        {"Systran/faster-whisper-base": ("en", "de")},
    )


def test_speaches_of_old_tells_voices_elsewhere(upstream: Any, json_reply: Say) -> None:
    upstream.replies["/v1/models"] = [json_reply(models({"id": "piper", "task": "text-to-speech"}))]
    upstream.replies["/v1/audio/speech/voices?model_id=piper"] = [json_reply([{"voice_id": "en_US-joe", "language": "en"}])]
    assert discover(upstream.url, "").voices == {"piper": (Voice("en_US-joe", "en"),)}


@pytest.mark.parametrize("voices", [["af_bella", "jf_alpha"], [{"id": "af_bella", "name": "x"}, {"id": "jf_alpha", "name": "y"}]])
def test_kokoro_fastapi_before_and_after_it_told_objects(upstream: Any, json_reply: Say, voices: Any) -> None:
    upstream.replies["/v1/models"] = [json_reply(models("tts-1", "kokoro"))]
    upstream.replies["/v1/test"] = [json_reply({"status": "ok"})]
    upstream.replies["/v1/audio/voices"] = [json_reply({"voices": voices})]
    found = discover(upstream.url, "")
    assert (found.dialect, found.stt_models, found.tts_models) == ("kokoro-fastapi", (), ("tts-1", "kokoro"))
    assert found.voices["kokoro"] == (Voice("af_bella", "en-US"), Voice("jf_alpha", "ja"))
    assert len(upstream.asked("/v1/audio/voices")) == 1


def test_localai_has_a_voice_a_model(upstream: Any, json_reply: Say) -> None:
    upstream.replies["/v1/models"] = [json_reply(models("whisper-1", "voice-en-us-amy-low", "llama"))]
    upstream.replies["/readyz"] = [lambda management: management.say(200, "text/plain", b"OK")]
    found = discover(upstream.url, "")
    assert (found.dialect, found.stt_models, found.tts_models) == ("localai", ("whisper-1",), ("voice-en-us-amy-low",))
    assert found.voices == {"voice-en-us-amy-low": (Voice("voice-en-us-amy-low", ""),)}


def test_a_dialect_that_is_given_is_not_guessed(upstream: Any, json_reply: Say) -> None:
    upstream.replies["/v1/models"] = [json_reply(models("whisper-1"))]
    assert discover(upstream.url, "", "localai").dialect == "localai"
    assert [seen.path for seen in upstream.seen] == ["/v1/models"]


def test_our_own_server_tells_all(tones_upstream: str) -> None:
    found = discover(tones_upstream, "sesame")
    assert (found.stt_models, found.tts_models) == (("tones/listen",), ("tones/speak",))
    assert found.voices == {"tones/speak": (Voice("tone", "en-US"),)}
    assert found.languages["tones/listen"] == ("en",)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": 3}', b'{"data": [1, {"id": null}, {"name": "x"}]}', b"null", b"\xff\xfe"])
def test_a_server_that_tells_nothing_of_use_has_nothing(upstream: Any, body: bytes) -> None:
    upstream.replies["/v1/models"] = [lambda management: management.say(200, "application/json", body)]
    found = discover(upstream.url, "")
    assert (found.dialect, found.stt_models, found.tts_models) == ("openai", (), ())


def test_a_server_without_a_list_has_nothing(upstream: Any) -> None:
    assert discover(upstream.url, "") == Discovery("openai")


def test_a_wrong_key_is_named(upstream: Any, json_reply: Say) -> None:
    upstream.replies["/v1/models"] = [json_reply({"error": "no"}, status=401)]
    with pytest.raises(BackendFailed, match="STT_UPSTREAM_API_KEY"):
        discover(upstream.url, "s3cret", settings="STT_UPSTREAM")


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(BackendUnavailable):
        discover("http://127.0.0.1:9/v1", "")


def own(backend: str, **settings: str) -> Any:
    return parts.host_options(config.load(settings), backend).settings


def test_what_the_settings_name_is_offered_while_nobody_is_there() -> None:
    heard = listening_offers(own("upstream", STT_UPSTREAM_MODELS="whisper-1,Systran/x:1"), ask=False)
    assert [model.id for model in heard] == ["upstream/whisper-1", "upstream/Systran/x-1"]
    (spoken,) = speaking_offers(own("upstream-tts", TTS_UPSTREAM_MODELS="kokoro", TTS_UPSTREAM_VOICES="af_sky,bm_george"), ask=False)
    assert (spoken.id, spoken.default_voice, spoken.instructs) == ("upstream/kokoro", "af_sky", True)
    assert [voice.language for voice in spoken.voices] == ["en-US", "en-GB"]


def test_what_the_settings_name_goes_before_what_the_server_has(tones_upstream: str) -> None:
    asked = own("upstream-tts", TTS_UPSTREAM_URL=tones_upstream, TTS_UPSTREAM_API_KEY="sesame", TTS_UPSTREAM_MODELS="tones/speak,other")
    entries = speaking_offers(asked, ask=True)
    assert [(entry.id, [voice.id for voice in entry.voices]) for entry in entries] == [
        ("upstream/tones/speak", ["tone"]), ("upstream/other", []),
    ]  # fmt: skip
