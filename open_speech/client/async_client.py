"""The client for programs with an event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import Any, Literal, Self, Unpack, cast, overload

from open_speech.client import calls, live
from open_speech.client.async_resources import AsyncJobs, AsyncModels
from open_speech.client.bodies import DiarizedTranscription, Event, Transcription, VerboseTranscription, Voice
from open_speech.client.calls import DEFAULT_STT, DEFAULT_TTS, Media
from open_speech.client.endpoint import DEFAULT_URL, Endpoint
from open_speech.client.http import AsyncHTTP
from open_speech.client.options import (
    LiveOptions,
    MediaOptions,
    SpeechEventOptions,
    SpeechOptions,
    TextFormat,
    TranscriptFormat,
    TranscriptionOptions,
)
from open_speech.client.player import AsyncPlayer, play_async
from open_speech.client.realtime import AsyncRealtimeSession, RealtimeOptions
from open_speech.client.retry import Retry


class AsyncOpenSpeechClient:
    """A client of one server. Its methods raise OpenSpeechError's children: APIError for what the server reports."""

    def __init__(  # noqa: PLR0913 - the settings of one client
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        timeout_s: float = 600.0,
        connect_timeout_s: float = 10.0,
        verify: bool | str = True,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take the address of a server, with or without `/v1`, and its API key if it needs one.

        `timeout_s` is the longest wait for the next data of a response. `verify=False` accepts any certificate, such as the one that a
        server made for itself; a path names a file with the certificates to trust.
        """
        self._endpoint = Endpoint(base_url, api_key, timeout_s, connect_timeout_s, verify, retry, headers or {})
        self._http = AsyncHTTP(self._endpoint)
        self.models = AsyncModels(self._http)
        self.jobs = AsyncJobs(self._http, retry)

    @classmethod
    def at(cls, endpoint: Endpoint) -> Self:
        """Return a client with the settings of another one."""
        return cls(
            endpoint.base_url, endpoint.api_key, timeout_s=endpoint.timeout_s, connect_timeout_s=endpoint.connect_timeout_s,
            verify=endpoint.verify, retry=endpoint.retry, headers=endpoint.headers,
        )  # fmt: skip

    async def close(self) -> None:
        """Close all connections of requests."""
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @overload
    async def transcribe(
        self, audio: Media, *, model: str = ..., response_format: Literal["json"] = ..., **options: Unpack[TranscriptionOptions]
    ) -> Transcription: ...
    @overload
    async def transcribe(
        self, audio: Media, *, model: str = ..., response_format: Literal["verbose_json"], **options: Unpack[TranscriptionOptions]
    ) -> VerboseTranscription: ...
    @overload
    async def transcribe(
        self, audio: Media, *, model: str = ..., response_format: Literal["diarized_json"], **options: Unpack[TranscriptionOptions]
    ) -> DiarizedTranscription: ...
    @overload
    async def transcribe(
        self, audio: Media, *, model: str = ..., response_format: TextFormat, **options: Unpack[TranscriptionOptions]
    ) -> str: ...
    async def transcribe(
        self,
        audio: Media,
        *,
        model: str = DEFAULT_STT,
        response_format: TranscriptFormat = "json",
        **options: Unpack[TranscriptionOptions],
    ) -> Any:
        """Transcribe a file: its bytes, its path or an open file. Returns an object for the JSON formats, else text."""
        return await self._http.json(calls.transcription(audio, {"model": model, "response_format": response_format, **options}))

    def transcribe_events(
        self,
        audio: Media,
        *,
        model: str = "gpt-4o-transcribe",
        response_format: Literal["json", "text", "diarized_json"] = "json",
        **options: Unpack[TranscriptionOptions],
    ) -> AsyncGenerator[Event, None]:
        """Transcribe a file; yield `transcript.text.delta` events while it is transcribed, then `transcript.text.done`."""
        fields = {"model": model, "response_format": response_format, "stream": True, **options}
        return self._http.events(calls.transcription(audio, fields))

    async def translate(
        self,
        audio: Media,
        *,
        model: str = DEFAULT_STT,
        response_format: Literal["json", "verbose_json"] | TextFormat = "json",
        **options: Unpack[MediaOptions],
    ) -> Transcription | VerboseTranscription | str:
        """Translate the speech in a file, in any language, into English text."""
        fields = {"model": model, "response_format": response_format, **options}
        return cast(
            Transcription | VerboseTranscription | str, await self._http.json(calls.transcription(audio, fields, task="translations"))
        )

    async def speak(self, text: str, *, voice: str | None = None, model: str = DEFAULT_TTS, **options: Unpack[SpeechOptions]) -> bytes:
        """Synthesize a text; return the file."""
        return (await self._http.send(calls.speech(text, {"voice": voice, "model": model, **options}))).content

    def speak_stream(
        self, text: str, *, voice: str | None = None, model: str = DEFAULT_TTS, **options: Unpack[SpeechOptions]
    ) -> AsyncGenerator[bytes, None]:
        """Synthesize a text; yield the file while it is synthesized."""
        return self._http.bytes(calls.speech(text, {"voice": voice, "model": model, **options}))

    def speak_events(
        self, text: str, *, voice: str | None = None, model: str = DEFAULT_TTS, **options: Unpack[SpeechEventOptions]
    ) -> AsyncGenerator[Event, None]:
        """Synthesize a text; yield `speech.audio.delta` events, and those that `timestamps`, `captions` and `progress` request."""
        return self._http.events(calls.speech(text, {"voice": voice, "model": model, "stream_format": "sse", **options}))

    async def play(
        self, text: str, player: AsyncPlayer, *, voice: str | None = None, model: str = DEFAULT_TTS, **options: Unpack[SpeechOptions]
    ) -> None:
        """Synthesize a text and play it meanwhile: through a function, or through the standard input of a command."""
        await play_async(self.speak_stream(text, voice=voice, model=model, **options), player)

    async def voices(self, model: str | None = None) -> list[Voice]:
        """Return the voices of all models, or of one."""
        return cast("list[Voice]", (await self._http.json(calls.voices(model)))["data"])

    async def realtime_session(self, **options: Unpack[RealtimeOptions]) -> AsyncRealtimeSession:
        """Open a Realtime session."""
        return await AsyncRealtimeSession.open(self._endpoint, **options)

    def stream_transcribe(
        self, chunks: AsyncIterable[bytes], *, reconnect_s: float = 60.0, **options: Unpack[LiveOptions]
    ) -> AsyncGenerator[Event, None]:
        """Transcribe 16-bit mono PCM while it arrives; yield the events of the stream.

        A lost connection is opened again for up to `reconnect_s` seconds, and audio whose text is not final is sent again: no text is
        lost, and none is repeated.
        """
        return live.stream_transcribe(self._endpoint, chunks, reconnect_s=reconnect_s, **options)
