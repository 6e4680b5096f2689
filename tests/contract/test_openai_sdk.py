from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI
from openai.types import Model
from openai.types.audio import Transcription, TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent, TranscriptionVerbose

from open_speech.codecs import decode

TEXT = "Hello there world. A second sentence follows the first one."


@pytest.fixture
def sdk(server: str) -> Iterator[OpenAI]:
    # Strict: the SDK's own types then refuse an answer with a field missing or of another type.
    with OpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0, _strict_response_validation=True) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def clip(server: str) -> bytes:
    with OpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0) as sdk:
        return sdk.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="flac").content


def test_a_transcription_is_the_sdks_type(sdk: OpenAI, clip: bytes) -> None:
    heard = sdk.audio.transcriptions.create(model="whisper-1", file=("clip.flac", clip), language="en", temperature=0)
    assert type(heard) is Transcription
    assert heard.text == TEXT
    assert heard.usage is not None
    assert heard.usage.type == "duration"


def test_verbose_json_has_words_and_segments(sdk: OpenAI, clip: bytes) -> None:
    heard = sdk.audio.transcriptions.create(
        model="whisper-1", file=("clip.flac", clip), response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert type(heard) is TranscriptionVerbose
    assert heard.words is not None
    assert heard.segments is not None
    assert [word.word for word in heard.words] == TEXT.split()
    assert "".join(segment.text for segment in heard.segments).strip() == heard.text == TEXT
    assert heard.language == "english"
    assert heard.usage is not None
    assert heard.usage.seconds >= heard.duration


@pytest.mark.parametrize(("form", "start"), [("text", "Hello"), ("srt", "1\n00:00"), ("vtt", "WEBVTT\n\n")])
def test_plain_formats_come_as_str(sdk: OpenAI, clip: bytes, form: Any, start: str) -> None:
    heard = sdk.audio.transcriptions.create(model="whisper-1", file=("clip.flac", clip), response_format=form)
    assert isinstance(heard, str)
    assert heard.startswith(start)


def test_a_streamed_transcription_is_a_series_of_events(sdk: OpenAI, clip: bytes) -> None:
    events = list(sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=("clip.flac", clip), stream=True))
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == TEXT
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert done.text == TEXT
    assert done.usage is not None
    assert done.usage.type == "tokens"


def test_the_newest_fields_are_taken(sdk: OpenAI, clip: bytes) -> None:
    heard = sdk.audio.transcriptions.create(
        model="gpt-transcribe",
        file=("clip.flac", clip),
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.01, "silence_duration_ms": 100},
        extra_body={"languages": ["en"], "keywords": ["world"]},
    )
    assert isinstance(heard, Transcription)
    assert heard.logprobs is not None
    assert heard.languages is not None
    assert [language.code for language in heard.languages] == ["en"]


def test_a_stream_with_everything_on_is_the_sdks_types(sdk: OpenAI, clip: bytes) -> None:
    events = list(sdk.audio.transcriptions.create(model="gpt-transcribe", file=("clip.flac", clip), stream=True, include=["logprobs"]))
    done = events[-1]
    assert [type(event) for event in events] == [TranscriptionTextDeltaEvent] * (len(events) - 1) + [TranscriptionTextDoneEvent]
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.languages is not None
    assert done.logprobs is not None


def test_diarization_that_is_not_installed_is_a_bad_request(sdk: OpenAI, clip: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"`make serve DIARIZE=1`.*STT_DIARIZE_BACKENDS=senko"):
        sdk.audio.transcriptions.create(model="gpt-4o-transcribe-diarize", file=("clip.flac", clip), response_format="diarized_json")


def test_a_translation_is_refused_by_an_engine_that_cannot(sdk: OpenAI, clip: bytes) -> None:
    with warnings.catch_warnings(), pytest.raises(BadRequestError) as raised:
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's word on the endpoint, not on us
        sdk.audio.translations.create(model="whisper-1", file=("clip.flac", clip))
    assert raised.value.code == "unsupported_value"


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_speech_comes_in_every_format(sdk: OpenAI, form: Any) -> None:
    spoken = sdk.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=form)
    heard = sdk.audio.transcriptions.create(model="whisper-1", file=(f"a.{form}", spoken.content))
    assert heard.text == TEXT


def test_speech_streams_in_chunks(sdk: OpenAI) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice={"id": "tone"}, input=TEXT * 20, response_format="pcm", speed=0.5, instructions="Calmly."
    ) as answer:
        assert answer.headers["content-type"] == "audio/pcm"
        assert answer.headers["transfer-encoding"] == "chunked"
        chunks = list(answer.iter_bytes())
    assert len(chunks) > 2
    assert len(b"".join(chunks)) > 20 * 24_000


def test_speech_streams_as_events(sdk: OpenAI) -> None:
    answer = sdk.audio.speech.with_raw_response.create(model="gpt-4o-mini-tts", voice="alloy", input=TEXT, stream_format="sse")
    lines = answer.text.split("\n\n")
    assert '"type":"speech.audio.delta"' in lines[0]
    assert '"type":"speech.audio.done"' in lines[-2]


def test_the_async_client_does_both_at_once(server: str, clip: bytes) -> None:
    async def run() -> tuple[list[Transcription], bytes]:
        async with AsyncOpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0) as sdk:
            calls = [sdk.audio.transcriptions.create(model="whisper-1", file=("clip.flac", clip)) for _ in range(4)]
            heard = await asyncio.gather(*calls)
            spoken = sdk.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input=TEXT)
            async with spoken as answer:
                return heard, b"".join([chunk async for chunk in answer.iter_bytes()])

    heard, mp3 = asyncio.run(run())
    assert [one.text for one in heard] == [TEXT] * 4
    assert decode(mp3, 16_000, max_seconds=60).seconds > 1


def test_models_are_the_sdks_type(sdk: OpenAI) -> None:
    ids = [model.id for model in sdk.models.list()]
    assert {"whisper-1", "tts-1", "tones/listen", "tones/speak"} <= set(ids)
    model = sdk.models.retrieve("tones/speak")
    assert type(model) is Model
    assert (model.id, model.object) == ("tones/speak", "model")


@pytest.mark.parametrize(
    ("fields", "kind", "param", "code"),
    [
        ({"model": "nobody"}, NotFoundError, "model", "model_not_found"),
        ({"voice": "nobody"}, BadRequestError, "voice", "voice_not_found"),
        ({"speed": 9.0}, BadRequestError, "speed", "decimal_out_of_range"),
        ({"input": "a" * 5000}, BadRequestError, "input", "string_above_max_length"),
    ],
)
def test_errors_are_the_sdks_classes(sdk: OpenAI, fields: dict[str, Any], kind: type[APIStatusError], param: str, code: str) -> None:
    with pytest.raises(kind) as raised:
        sdk.audio.speech.create(**{"model": "tts-1", "voice": "alloy", "input": TEXT, **fields})
    assert (raised.value.param, raised.value.code, raised.value.type) == (param, code, "invalid_request_error")
    assert raised.value.request_id is not None
    assert raised.value.request_id.startswith("req_")


def test_a_wrong_key_is_an_authentication_error(server: str) -> None:
    with OpenAI(base_url=f"{server}/v1", api_key="wrong", max_retries=0) as sdk, pytest.raises(AuthenticationError) as raised:
        sdk.models.list()
    assert raised.value.code == "invalid_api_key"


def test_an_upload_over_the_limit_is_told_why(sdk: OpenAI) -> None:
    with pytest.raises(APIStatusError) as raised:
        sdk.audio.transcriptions.create(model="whisper-1", file=("big.wav", bytes(8 << 20)))
    assert raised.value.status_code == 413
    assert "Maximum content size limit (1048576) exceeded" in raised.value.message
