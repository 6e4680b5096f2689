"""Deepgram's API, spoken by a server on loopback."""

from __future__ import annotations

from typing import Any

import pytest

from open_speech.backends import SpeechOptions, Task, TranscribeOptions
from open_speech.errors import BackendFailed, UnsupportedLanguage
from runners.deepgram import DeepgramSynthesizer, DeepgramTranscriber
from tests.runners.cloud import KEY, PCM, heard, loaded, said, setup
from tests.scripted_server import Upstream, json_reply

LISTEN, SPEAK = "/v1/listen", "/v1/speak"
WORDS = [
    {"word": "hello", "punctuated_word": "Hello", "start": 0.1, "end": 0.4, "confidence": 0.9},
    {"word": "there", "punctuated_word": "there.", "start": 0.5, "end": 0.9, "confidence": 0.8},
    {"word": "bye", "punctuated_word": "Bye.", "start": 1.5, "end": 1.9, "confidence": 0.7},
]
ANSWER = {
    "metadata": {"duration": 3.0},
    "results": {
        "channels": [
            {
                "detected_language": "de",
                "language_confidence": 0.9,
                "alternatives": [{"transcript": "Hello there. Bye.", "confidence": 0.9, "words": WORDS}],
            }
        ]
    },
}


def listener(server: Upstream, model: str = "nova-3", **settings: str) -> DeepgramTranscriber:
    return loaded(DeepgramTranscriber(setup("deepgram", model, Task.STT, server, **settings)))  # type: ignore[no-any-return]


def speaker(server: Upstream, **settings: str) -> DeepgramSynthesizer:
    return loaded(DeepgramSynthesizer(setup("deepgram", "aura-2", Task.TTS, server, **settings)))  # type: ignore[no-any-return]


def test_a_transcript_has_sentences_words_and_the_language(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply(ANSWER)]
    info, segments = heard(listener(upstream), TranscribeOptions(word_times=True))
    assert (info.language, info.duration) == ("de", 3.0)
    assert [segment.text for segment in segments] == [" Hello there.", " Bye."]
    assert [(word.text, word.start, word.end, word.probability) for word in segments[0].words] == [
        (" Hello", 0.1, 0.4, 0.9),
        (" there.", 0.5, 0.9, 0.8),
    ]
    assert (segments[1].start, segments[1].end) == (1.5, 1.9)


def test_a_request_is_as_deepgram_documents_it(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply(ANSWER)]
    heard(listener(upstream), TranscribeOptions(language="en", hotwords="Beckett, Godot"))
    (seen,) = upstream.asked(LISTEN)
    assert seen.headers["Authorization"] == f"Token {KEY}"
    assert seen.headers["Content-Type"] == "audio/wav"
    assert seen.body.startswith(b"RIFF")
    assert seen.query == {
        "model": ["nova-3"], "punctuate": ["true"], "smart_format": ["true"], "language": ["en"], "keyterm": ["Beckett", "Godot"],
    }  # fmt: skip


@pytest.mark.parametrize(("languages", "sent"), [((), ["true"]), (("en", "de"), ["en", "de"])])
def test_a_language_that_nobody_names_is_detected(upstream: Upstream, languages: tuple[str, ...], sent: list[str]) -> None:
    upstream.replies[LISTEN] = [json_reply(ANSWER)]
    info, segments = heard(listener(upstream, "nova-2"), TranscribeOptions(languages=languages, detect_only=True))
    assert (info.language, segments) == ("de", [])
    (seen,) = upstream.asked(LISTEN)
    assert (seen.query["detect_language"], seen.query["model"]) == (sent, ["nova-2"])


def test_a_transcript_without_words_has_its_text(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply({"results": {"channels": [{"alternatives": [{"transcript": "Hi."}]}]}})]
    _, segments = heard(listener(upstream), TranscribeOptions())
    assert [(segment.text.strip(), segment.start, segment.end) for segment in segments] == [("Hi.", 0.0, 3.0)]


def test_speech_is_asked_for_as_samples_and_streamed(upstream: Upstream) -> None:
    upstream.replies[SPEAK] = [lambda desk: desk.say(200, "audio/l16;rate=24000", PCM[:1001], PCM[1001:])]
    assert said(speaker(upstream), SpeechOptions("")) == PCM
    (seen,) = upstream.asked(SPEAK)
    assert seen.json == {"text": "Hello there."}
    assert seen.query == {"model": ["aura-2-thalia-en"], "encoding": ["linear16"], "container": ["none"], "sample_rate": ["24000"]}


def test_the_voice_is_that_of_the_request_in_its_own_language(upstream: Upstream) -> None:
    upstream.replies[SPEAK] = [lambda desk: desk.say(200, "audio/l16", PCM)]
    backend = speaker(upstream, VOICES="thalia-en,aquila-es")
    said(backend, SpeechOptions("aquila-es", language="es-MX"))
    assert upstream.asked(SPEAK)[0].query["model"] == ["aura-2-aquila-es"]
    with pytest.raises(UnsupportedLanguage):
        backend.synthesize("Hola.", SpeechOptions("thalia-en", language="es"))


@pytest.mark.parametrize("answer", [{"results": {}}, [], {"results": {"channels": [{"alternatives": [{"transcript": 3}]}]}}])
def test_an_answer_without_a_transcript_is_a_failure(upstream: Upstream, answer: Any) -> None:
    upstream.replies[LISTEN] = [json_reply(answer)]
    with pytest.raises(BackendFailed, match="no transcript"):
        heard(listener(upstream), TranscribeOptions())
