"""Cartesia's API, spoken by a server on loopback."""

from __future__ import annotations

import pytest

from open_speech.backends import SpeechOptions, Task, TranscribeOptions
from open_speech.errors import BackendFailed
from runners.cartesia import VERSION, CartesiaSynthesizer, CartesiaTranscriber
from tests.runners.cloud import KEY, PCM, heard, loaded, said, setup
from tests.scripted_server import Upstream, json_reply

LISTEN, SPEAK = "/stt", "/tts/bytes"
ANSWER = {
    "type": "transcript",
    "text": "Hello there.",
    "language": "en",
    "duration": 3.0,
    "words": [{"word": "Hello", "start": 0.1, "end": 0.4}, {"word": "there.", "start": 0.5, "end": 0.8}],
}


def test_a_transcript_has_words_and_a_request_is_as_cartesia_documents_it(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply(ANSWER)]
    backend = loaded(CartesiaTranscriber(setup("cartesia", "ink-whisper", Task.STT, upstream)))
    info, segments = heard(backend, TranscribeOptions(language="en", word_times=True))
    assert (info.language, [segment.text for segment in segments]) == ("en", [" Hello there."])
    assert [(word.text, word.start, word.probability) for word in segments[0].words] == [(" Hello", 0.1, 1.0), (" there.", 0.5, 1.0)]
    (seen,) = upstream.asked(LISTEN)
    assert (seen.headers["Authorization"], seen.headers["Cartesia-Version"]) == (f"Bearer {KEY}", VERSION)
    names = ("model", "language", "timestamp_granularities[]")
    assert [seen.field(name) for name in names] == [["ink-whisper"], ["en"], ["word"]]


def test_speech_is_asked_for_as_samples(upstream: Upstream) -> None:
    upstream.replies[SPEAK] = [lambda desk: desk.say(200, "audio/pcm", PCM[:999], PCM[999:])]
    backend = loaded(CartesiaSynthesizer(setup("cartesia", "sonic-2", Task.TTS, upstream, VOICES="v-1")))
    assert said(backend, SpeechOptions("", language="fr-FR")) == PCM
    (seen,) = upstream.asked(SPEAK)
    assert seen.json == {
        "model_id": "sonic-2",
        "transcript": "Hello there.",
        "voice": {"mode": "id", "id": "v-1"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000},
        "language": "fr",
    }


def test_an_answer_without_a_transcript_is_a_failure(upstream: Upstream) -> None:
    upstream.replies[LISTEN] = [json_reply({"title": "nothing"})]
    backend = loaded(CartesiaTranscriber(setup("cartesia", "ink-whisper", Task.STT, upstream)))
    with pytest.raises(BackendFailed, match="no transcript"):
        heard(backend, TranscribeOptions())
