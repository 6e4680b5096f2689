"""Other people's servers as engines: our own app on tones, which is a true one, and a small one that fails in every way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from open_speech import config
from open_speech.audio import Audio, concat, silence, to_pcm16
from open_speech.backends import STT_RATE, SpeechOptions, TranscribeOptions, Vad, Window
from open_speech.codecs import decode, wav_bytes
from open_speech.errors import (
    BackendFailed,
    BackendUnavailable,
    InvalidValue,
    Overloaded,
    SpeechError,
    UnknownModel,
    UnsupportedValue,
)
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from runners.upstream import UpstreamSynthesizer, UpstreamTranscriber, parts
from tests.waiting import PATIENCE_S

Say = Callable[..., Any]
Make = Callable[..., Any]
SENTENCE = "Hello there world. How are you?"
SOUND = Audio(np.sin(np.arange(24_000) / 30).astype(np.float32) * 0.5, 24_000)
NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, STT_RATE).astype(np.float32), STT_RATE)
HEARD = "/v1/audio/transcriptions"
SPOKEN = "/v1/audio/speech"


def transcribe_windows(backend: UpstreamTranscriber, audio: Audio = NOISE, options: TranscribeOptions | None = None) -> Transcript:
    items = list(backend.transcribe(audio, options or TranscribeOptions()))
    assert isinstance(items[0], TranscriptInfo)
    info = [item for item in items if isinstance(item, TranscriptInfo)][-1]
    return Transcript(info, tuple(item for item in items if isinstance(item, Segment)))


def say(backend: UpstreamSynthesizer, text: str = SENTENCE, options: SpeechOptions | None = None) -> Audio:
    sound = list(backend.synthesize(text, options or SpeechOptions("")))
    return concat(sound, sound[0].rate)


def events(*deltas: str) -> Any:
    told = [{"type": "transcript.text.delta", "delta": delta} for delta in deltas]
    told.append({"type": "transcript.text.done", "text": "".join(deltas)})
    return lambda management: management.say(200, "text/event-stream", *(f"data: {json.dumps(event)}\n\n".encode() for event in told))


# A true server.


def test_what_it_speaks_it_hears(tones_upstream: str, listener: Make, speaker: Make) -> None:
    said = say(speaker(tones_upstream, "tones/speak"))
    assert said.rate == 24_000
    sound = decode(wav_bytes(said), STT_RATE, max_seconds=60)
    heard = transcribe_windows(listener(tones_upstream, "tones/listen"), sound, TranscribeOptions(word_times=True))
    assert heard.text == SENTENCE
    assert (heard.info.language, heard.info.duration) == ("en", pytest.approx(said.seconds, abs=0.01))
    assert "".join(word.text for word in heard.words).strip() == SENTENCE
    assert 0 < heard.words[0].start < heard.words[-1].end <= said.seconds


def test_a_window_is_heard_as_a_file_is(tones_upstream: str, listener: Make, speaker: Make) -> None:
    said = decode(wav_bytes(say(speaker(tones_upstream, "tones/speak"))), STT_RATE, max_seconds=60)
    (window, broken) = listener(tones_upstream, "tones/listen").transcribe_windows(
        [Window(said, TranscribeOptions()), Window(said, TranscribeOptions(language="de"))]
    )
    assert not isinstance(window, SpeechError)
    assert ("".join(segment.text for segment in window.segments).strip(), window.language) == (SENTENCE, "en")
    assert isinstance(broken, SpeechError)
    assert broken.param == "language"


def test_a_model_that_it_has_not_is_unknown(tones_upstream: str, listener: Make) -> None:
    with pytest.raises(UnknownModel):
        transcribe_windows(listener(tones_upstream, "no-such-model"))


def test_a_wrong_key_is_told_when_it_is_loaded(tones_upstream: str, listener: Make) -> None:
    with pytest.raises(BackendFailed, match="STT_UPSTREAM_API_KEY"):
        listener(tones_upstream, API_KEY="wrong")


def test_calls_at_once_do_not_mix(tones_upstream: str, listener: Make, speaker: Make) -> None:
    speaks, hears = speaker(tones_upstream, "tones/speak"), listener(tones_upstream, "tones/listen")
    texts, heard = [f"{name} was here." for name in ("Ann", "Bea", "Cid", "Dee", "Eve", "Fay")], {}

    def work(text: str) -> None:
        heard[text] = transcribe_windows(hears, decode(wav_bytes(say(speaks, text)), STT_RATE, max_seconds=60)).text

    threads = [threading.Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert heard == {text: text for text in texts}


# What is asked.


def test_a_request_says_what_the_options_say(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"text": "Hi."})]
    options = TranscribeOptions(language="de", prompt="Beckett.", hotwords="fail, better", temperatures=(0.3,), word_times=True)
    transcribe_windows(listener(upstream.url), options=options)
    (seen,) = upstream.asked(HEARD)
    names = ("model", "language", "prompt", "temperature", "response_format", "timestamp_granularities[]")
    assert {name: seen.field(name) for name in names} == {
        "model": ["whisper-1"], "language": ["de"], "prompt": ["Beckett. fail, better"], "temperature": ["0.3"],
        "response_format": ["verbose_json"], "timestamp_granularities[]": ["segment", "word"],
    }  # fmt: skip
    assert seen.headers["Authorization"] == "Bearer sesame"


def test_what_was_not_said_is_not_sent(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"text": "Hi."})]
    transcribe_windows(listener(upstream.url))
    (seen,) = upstream.asked(HEARD)
    assert not any(seen.field(name) for name in ("language", "prompt", "temperature", "hotwords", "stream", "vad_filter"))


def test_speaches_is_told_in_its_own_words(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"text": "Hi."})]
    transcribe_windows(listener(upstream.url, DIALECT="speaches"), options=TranscribeOptions(hotwords="fail", vad=Vad()))
    (seen,) = upstream.asked(HEARD)
    assert (seen.field("hotwords"), seen.field("vad_filter"), seen.field("prompt")) == (["fail"], ["true"], [])


def test_a_translation_is_asked_for_where_translations_are(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies["/v1/audio/translations"] = [json_reply({"text": "Hi.", "language": "english"})]
    found = transcribe_windows(listener(upstream.url), options=TranscribeOptions(task="translate", language="de"))
    assert (found.text, found.info.task) == ("Hi.", "translate")
    assert upstream.asked("/v1/audio/translations")[0].field("language") == []


# The ways of asking for a transcript.


def test_openais_streaming_models_are_heard_while_they_write(upstream: Any, listener: Make) -> None:
    written, goes_on = threading.Event(), threading.Event()

    def slow(management: Any) -> None:
        management.say(200, "text/event-stream", b'data: {"type":"transcript.text.delta","delta":"Ever tried. Ever"}\n\n', end=False)
        written.set()
        goes_on.wait(PATIENCE_S)
        management.piece(b'data: {"type":"transcript.text.delta","delta":" failed."}\n\ndata: {"type":"transcript.text.done"}\n\n')
        management.wfile.write(b"0\r\n\r\n")

    upstream.replies[HEARD] = [slow]
    items = listener(upstream.url, "gpt-4o-transcribe").transcribe(NOISE, TranscribeOptions())
    assert isinstance(next(items), TranscriptInfo)
    first = next(items)
    assert isinstance(first, Segment)
    assert first.text == "Ever tried."
    assert not goes_on.is_set()
    goes_on.set()
    assert [item.text for item in items if isinstance(item, Segment)] == [" Ever failed."]
    assert upstream.asked(HEARD)[0].field("stream") == ["true"]


@pytest.mark.parametrize(
    ("model", "settings", "options", "streams"),
    [
        ("whisper-1", {}, TranscribeOptions(), False),
        ("whisper-1", {"STREAMING_MODELS": "*"}, TranscribeOptions(), True),
        ("whisper-1", {"STREAMING_MODELS": "other,whisper-1"}, TranscribeOptions(), True),
        ("gpt-4o-transcribe", {}, TranscribeOptions(word_times=True), False),
    ],
)
def test_text_is_streamed_by_models_that_are_known_to_unless_times_are_wanted(
    upstream: Any, model: str, settings: dict[str, str], options: TranscribeOptions, streams: bool, listener: Make
) -> None:
    upstream.replies[HEARD] = [events("Hi.")]
    if not streams:
        upstream.replies[HEARD] = [lambda management: management.say(200, "application/json", b'{"text": "Hi."}')]
    assert transcribe_windows(listener(upstream.url, model, **settings), options=options).text == "Hi."
    assert upstream.asked(HEARD)[0].field("stream") == (["true"] if streams else [])


def test_a_server_that_streams_nothing_is_understood_all_the_same(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"text": "Hi."})]
    assert transcribe_windows(listener(upstream.url, STREAMING_MODELS="*")).text == "Hi."


def test_a_server_that_knows_no_verbose_json_is_asked_for_less_from_then_on(upstream: Any, json_reply: Say, listener: Make) -> None:
    no = json_reply({"error": {"message": "response_format 'verbose_json' is not compatible", "param": "response_format"}}, status=400)
    upstream.replies[HEARD] = [no, json_reply({"text": "Hi."})]
    backend = listener(upstream.url)
    assert [transcribe_windows(backend).text, transcribe_windows(backend).text] == ["Hi.", "Hi."]
    assert [seen.field("response_format") for seen in upstream.asked(HEARD)] == [["verbose_json"], ["json"], ["json"]]


def test_a_refusal_of_something_else_is_not_asked_again(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"error": {"message": "no such prompt", "param": "prompt"}}, status=400)]
    with pytest.raises(InvalidValue) as refused:
        transcribe_windows(listener(upstream.url))
    assert refused.value.param == "prompt"
    assert len(upstream.asked(HEARD)) == 1


def test_logprobs_are_asked_for_in_openais_way(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"text": "Hi.", "logprobs": [{"token": "Hi.", "logprob": -0.1}]})]
    found = transcribe_windows(listener(upstream.url, "gpt-4o-transcribe"), options=TranscribeOptions(logprobs=True))
    assert [token.text for token in found.segments[0].logprobs] == ["Hi."]
    assert upstream.asked(HEARD)[0].field("include[]") == ["logprobs"]


@pytest.mark.parametrize("answer", [{"text": "Hallo.", "language": "german"}, {"text": "Hallo.", "language": "de"}])
def test_a_language_alone_can_be_asked_for(upstream: Any, json_reply: Say, answer: Any, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply(answer)]
    found = transcribe_windows(listener(upstream.url), options=TranscribeOptions(detect_only=True))
    assert (found.info.language, found.segments) == ("de", ())


def test_who_cannot_tell_the_language_is_not_believed_to_have_heard_english(upstream: Any, json_reply: Say, listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"text": "Hallo."})]
    with pytest.raises(UnsupportedValue):
        transcribe_windows(listener(upstream.url), options=TranscribeOptions(detect_only=True))


@pytest.mark.parametrize("audio", [silence(2.0, STT_RATE), silence(0.0, STT_RATE)])
def test_nobody_is_asked_what_is_said_in_silence(upstream: Any, audio: Audio, listener: Make) -> None:
    assert transcribe_windows(listener(upstream.url), audio).segments == ()
    assert upstream.asked(HEARD) == []


# Long audio.


def test_a_long_audio_is_cut_where_it_is_quiet_and_nothing_is_lost() -> None:
    loud = Audio(np.ones(30 * 100, np.float32), 100)
    quiet = [1850, 1860, 2650]
    loud.samples[quiet[0] : quiet[1]] = 0
    cut = list(parts(loud, longest_s=20.0, within_s=3.0))
    assert [at for at, _ in cut] == [0.0, 18.55]
    assert np.array_equal(np.concatenate([part.samples for _, part in cut]), loud.samples)
    assert all(part.seconds <= 20.0 for _, part in cut)


def test_the_times_of_a_later_part_count_from_the_beginning(upstream: Any, json_reply: Say, listener: Make) -> None:
    segment = {"text": "Hi.", "start": 1.0, "end": 2.0}
    upstream.replies[HEARD] = [json_reply({"text": "Hi.", "segments": [segment], "language": "en"})]
    noise = Audio(np.tile(NOISE.samples, 650), STT_RATE)
    found = transcribe_windows(listener(upstream.url), noise)
    first, second = found.segments
    assert len(upstream.asked(HEARD)) == 2
    assert (first.start, first.end) == (1.0, 2.0)
    assert 571.0 <= second.start == pytest.approx(second.end - 1.0)
    assert found.info.duration == 650.0


# Servers in trouble.


def hangs_up(management: Any) -> None:
    management.close_connection = True
    management.connection.close()


@pytest.mark.parametrize("trouble", [429, 500, 503, None])
def test_trouble_that_passes_is_waited_for(upstream: Any, json_reply: Say, trouble: int | None, listener: Make, speaker: Make) -> None:
    bad = hangs_up if trouble is None else json_reply({"error": "later"}, status=trouble)
    upstream.replies[HEARD] = [bad, json_reply({"text": "Hi."})]
    upstream.replies[SPOKEN] = [bad, lambda management: management.say(200, "audio/pcm", to_pcm16(SOUND))]
    assert transcribe_windows(listener(upstream.url, MAX_RETRIES="1")).text == "Hi."
    assert to_pcm16(say(speaker(upstream.url, MAX_RETRIES="1"))) == to_pcm16(SOUND)


@pytest.mark.parametrize(("status", "error"), [(429, Overloaded), (500, BackendFailed), (503, BackendUnavailable)])
def test_trouble_that_stays_is_named(upstream: Any, json_reply: Say, status: int, error: type[SpeechError], listener: Make) -> None:
    upstream.replies[HEARD] = [json_reply({"error": "no"}, status=status)]
    with pytest.raises(error):
        transcribe_windows(listener(upstream.url, MAX_RETRIES="1"))
    assert len(upstream.asked(HEARD)) == 2


def test_half_a_transcript_is_a_failure_and_is_not_asked_for_again(upstream: Any, listener: Make) -> None:
    def cut(management: Any) -> None:
        management.say(200, "text/event-stream", b'data: {"type":"transcript.text.delta","delta":"Ever tried. Ever"}\n\n')

    upstream.replies[HEARD] = [cut]
    items = listener(upstream.url, "gpt-4o-transcribe").transcribe(NOISE, TranscribeOptions())
    next(items)
    assert next(items)
    with pytest.raises(BackendFailed):
        list(items)
    assert len(upstream.asked(HEARD)) == 1


def test_nobody_there_is_told_when_it_is_loaded(listener: Make) -> None:
    with pytest.raises(BackendUnavailable):
        listener("http://127.0.0.1:9/v1", MAX_RETRIES="0")


@pytest.mark.parametrize(
    ("name", "value"),
    [("STT_UPSTREAM_URL", "localhost:8000"), ("TTS_UPSTREAM_URL", "http://me:secret@host/v1"), ("STT_UPSTREAM_DIALECT", "klingon")],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(config.SettingsError, match=name):
        config.load({name: value})
