"""ElevenLabs' API, spoken by a server on loopback."""

from __future__ import annotations

import math

import pytest

from open_speech.backends import SpeechOptions, Task, TranscribeOptions
from open_speech.errors import BackendFailed
from runners.elevenlabs import ElevenLabsSynthesizer, ElevenLabsTranscriber
from tests.runners.cloud import KEY, PCM, heard, loaded, said, setup
from tests.scripted_server import Upstream, json_reply

LISTEN = "/v1/speech-to-text"
SPEAK = "/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream"
ANSWER = {
    "language_code": "deu",
    "language_probability": 0.98,
    "text": "Guten Tag. (lacht) Ja.",
    "words": [
        {"text": "Guten", "start": 0.1, "end": 0.4, "type": "word", "logprob": math.log(0.5)},
        {"text": " ", "start": 0.4, "end": 0.5, "type": "spacing", "logprob": 0.0},
        {"text": "Tag.", "start": 0.5, "end": 0.8, "type": "word", "logprob": 0.0},
        {"text": "(lacht)", "start": 0.9, "end": 1.4, "type": "audio_event"},
        {"text": "Ja.", "start": 2.5, "end": 2.7, "type": "word"},
    ],
}


def listener(server: Upstream) -> ElevenLabsTranscriber:
    return loaded(ElevenLabsTranscriber(setup("elevenlabs", "scribe_v2", Task.STT, server)))  # type: ignore[no-any-return]


def speaker(server: Upstream, model: str, **settings: str) -> ElevenLabsSynthesizer:
    return loaded(ElevenLabsSynthesizer(setup("elevenlabs", model, Task.TTS, server, **settings)))  # type: ignore[no-any-return]


def test_a_transcript_has_its_words_and_its_language_in_two_letters(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply(ANSWER)]
    info, segments = heard(listener(upstream), TranscribeOptions(word_times=True))
    assert info.language == "de"
    words = [word for segment in segments for word in segment.words]
    assert [(word.start, word.end) for word in words] == [(0.1, 0.4), (0.5, 0.8), (2.5, 2.7)]
    assert words[0].probability == pytest.approx(0.5)
    assert "".join(word.text for word in words).split()[:2] == ["Guten", "Tag."]


def test_a_request_is_as_elevenlabs_documents_it(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply(ANSWER)]
    heard(listener(upstream), TranscribeOptions(language="de"))
    (seen,) = upstream.asked(LISTEN)
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert headers["xi-api-key"] == KEY
    assert "authorization" not in headers
    names = ("model_id", "language_code", "timestamps_granularity", "tag_audio_events")
    assert [seen.field(name) for name in names] == [["scribe_v2"], ["de"], ["word"], ["false"]]
    assert b"RIFF" in seen.body


@pytest.mark.parametrize(
    ("model", "options", "body"),
    [
        ("eleven_multilingual_v2", SpeechOptions("", language="de"), {}),
        ("eleven_flash_v2_5", SpeechOptions("", language="de-DE"), {"language_code": "de"}),
        ("eleven_multilingual_v2", SpeechOptions("", speed=1.1), {"voice_settings": {"speed": 1.1}}),
    ],
)
def test_speech_is_asked_for_as_samples(upstream: Upstream, model: str, options: SpeechOptions, body: dict[str, object]) -> None:
    upstream.replies[SPEAK] = [lambda desk: desk.say(200, "audio/pcm", PCM[:777], PCM[777:])]
    assert said(speaker(upstream, model), options) == PCM
    (seen,) = upstream.asked(SPEAK)
    assert seen.query == {"output_format": ["pcm_24000"]}
    assert seen.json == {"text": "Hello there.", "model_id": model} | body


def test_a_voice_cannot_lead_to_another_path(upstream: Upstream) -> None:
    backend = speaker(upstream, "eleven_multilingual_v2")
    with pytest.raises(BackendFailed):
        said(backend, SpeechOptions("../../v1/voices?x="))
    assert [seen.path.partition("?")[0] for seen in upstream.seen] == ["/v1/text-to-speech/..%2F..%2Fv1%2Fvoices%3Fx%3D/stream"]


def test_an_answer_without_a_transcript_is_a_failure(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply({"words": []})]
    with pytest.raises(BackendFailed, match="no transcript"):
        heard(listener(upstream), TranscribeOptions())
