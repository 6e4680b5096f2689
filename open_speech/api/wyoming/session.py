"""One Wyoming connection as a state machine: events of the client and reports of the engine in, effects out. No I/O, no clock.

Events are handled strictly in order. While a transcript or the rest of a speech is pending, `is_busy` makes the driver read no more of
them: they wait in the network, where they use no memory, and the end of the connection waits behind them.
"""

from __future__ import annotations

from dataclasses import replace

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import Describe, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped
from wyoming.vad import VoiceStarted, VoiceStopped

from open_speech.api.wyoming import messages
from open_speech.api.wyoming.effects import (
    AppendAudio,
    AppendText,
    BeginTranscription,
    Close,
    Delta,
    Effect,
    Failed,
    Report,
    Send,
    SendInfo,
    Speak,
    SpeechAudio,
    SpeechBegan,
    SpeechDone,
    Transcribed,
    VoiceActivity,
)
from open_speech.api.wyoming.messages import ClientEvent
from open_speech.api.wyoming.pcm import PcmFormat
from open_speech.errors import InvalidRequest, InvalidValue, SpeechError, TextTooLong

STREAM_CHARS = 1_000_000
"""Maximum characters of one streamed text."""
CHUNK_SAMPLES = 1024
"""Samples in one audio-chunk, as other servers send it."""
SAMPLE_BYTES = 2
NOTHING_RATE = 22_050
"""Hertz of the short silence that is sent for a text with nothing to speak."""


class Session:
    """One connection. Each method handles one event and returns the effects to perform, in order."""

    def __init__(self) -> None:
        self._closed = False
        self._program: str | None = None
        """The program that the client selected for this connection."""
        self._transcribe: Transcribe | None = None
        """The options for the next audio."""
        self._form: PcmFormat | None = None
        """The format of the audio that is being received."""
        self._pending_transcript = False
        self._transcript_begun = False
        self._stream: SynthesizeStart | None = None
        """The streamed text that is being received."""
        self._stream_chars = 0
        self._stream_started = False
        """Whether a part of that text has been passed to the synthesis."""
        self._pending_speech: Synthesize | SynthesizeStart | None = None
        """The speech in progress whose text is complete."""
        self._rate: int | None = None
        """Hertz of the speech, once its audio has begun."""
        self._samples = 0

    @property
    def is_busy(self) -> bool:
        """Whether a response is pending that needs no further events of the client: its next events must wait."""
        return self._pending_transcript or self._pending_speech is not None

    @property
    def is_open(self) -> bool:
        """Whether the client has started audio or a text and has not ended it."""
        return self._form is not None or self._stream is not None

    def receive(self, event: ClientEvent) -> list[Effect]:
        """Handle an event of the client; only while not `is_busy`."""
        if self._closed:
            return []
        match event:
            case Describe():
                return [SendInfo()]
            case Ping():
                return [Send(Pong(event.text).event())]
            case SelectProgram():
                self._program = event.name
                return []
            case Transcribe() | AudioStart() | AudioChunk() | AudioStop():
                return self._audio_event(event)
            case _:
                return self._text_event(event)

    def invalid_event(self, error: SpeechError) -> list[Effect]:
        """Handle an event that cannot be parsed: the data after it cannot be trusted."""
        return self._fail(error)

    def idle(self) -> list[Effect]:
        """End the connection because it was idle for too long."""
        if self._closed:
            return []
        return self._fail(InvalidRequest("The connection was idle for too long.")) if self.is_open else self._close()

    def report(self, report: Report) -> list[Effect]:
        """Handle a report of the engine."""
        if self._closed:
            return []
        match report:
            case Failed(error):
                return self._fail(error)
            case VoiceActivity(is_start, at_s):
                shape = VoiceStarted if is_start else VoiceStopped
                return [Send(shape(timestamp=round(at_s * 1000)).event())]
            case Delta(text):
                return [*self._begin_transcript(), Send(TranscriptChunk(text).event())]
            case Transcribed(text, language):
                return self._transcript(text, language)
            case SpeechBegan(rate):
                self._rate, self._samples = rate, 0
                return [Send(AudioStart(rate, SAMPLE_BYTES, 1, timestamp=0).event())]
            case SpeechAudio(pcm):
                return self._audio_chunks(pcm)
            case SpeechDone():
                return self._speech_end()

    def _audio_event(self, event: Transcribe | AudioStart | AudioChunk | AudioStop) -> list[Effect]:
        match event:
            case Transcribe():
                self._transcribe = event
                return []
            case AudioStart():
                return self._audio_start(event)
            case AudioChunk():
                if self._form is None:
                    return self._fail(_out_of_turn("audio-chunk", "audio-start"))
                if (event.rate, event.width, event.channels) != (self._form.rate, self._form.width, self._form.channels):
                    return self._fail(InvalidValue("An `audio-chunk` must have the format of its `audio-start`.", param="rate"))
                return [AppendAudio(event.audio)]
            case AudioStop():
                if self._form is None:
                    return self._fail(_out_of_turn("audio-stop", "audio-start"))
                self._form, self._pending_transcript = None, True
                return [AppendAudio(None)]

    def _audio_start(self, start: AudioStart) -> list[Effect]:
        if self._form is not None:
            return self._fail(InvalidRequest("Send `audio-stop` before the next `audio-start`.", param="type"))
        try:
            self._form = PcmFormat(start.rate, start.width, start.channels)
        except SpeechError as error:
            return self._fail(error)
        event, self._transcribe = self._transcribe or Transcribe(), None
        self._transcript_begun = False
        return [BeginTranscription(self._form, replace(event, name=event.name or self._program))]

    def _begin_transcript(self) -> list[Effect]:
        if self._transcript_begun:
            return []
        self._transcript_begun = True
        return [Send(TranscriptStart().event())]

    def _transcript(self, text: str, language: str | None) -> list[Effect]:
        begin = self._begin_transcript()
        chunk: list[Effect] = [Send(TranscriptChunk(text).event())] if begin and text else []
        self._pending_transcript = False
        return [*begin, *chunk, Send(Transcript(text, language=language).event()), Send(TranscriptStop().event())]

    def _text_event(self, event: Synthesize | SynthesizeStart | SynthesizeChunk | SynthesizeStop) -> list[Effect]:
        match event:
            case Synthesize():
                if self._stream is not None:  # the same text again, for servers that do not stream
                    return []
                self._pending_speech = event
                return [Speak(event)]
            case SynthesizeStart():
                if self._stream is not None:
                    return self._fail(InvalidRequest("Send `synthesize-stop` before the next `synthesize-start`.", param="type"))
                self._stream, self._stream_chars, self._stream_started = event, 0, False
                return []
            case SynthesizeChunk():
                return self._text_chunk(event.text)
            case SynthesizeStop():
                return self._text_stop()

    def _text_chunk(self, text: str) -> list[Effect]:
        if self._stream is None:
            return self._fail(_out_of_turn("synthesize-chunk", "synthesize-start"))
        self._stream_chars += len(text)
        if self._stream_chars > STREAM_CHARS:
            return self._fail(TextTooLong(f"A text may have at most {STREAM_CHARS} characters.", param="text"))
        if self._stream_started:
            return [AppendText(text)]
        if not text.strip():
            return []
        self._stream_started = True
        return [Speak(self._stream), AppendText(text)]

    def _text_stop(self) -> list[Effect]:
        if self._stream is None:
            return self._fail(_out_of_turn("synthesize-stop", "synthesize-start"))
        self._pending_speech, self._stream = self._stream, None
        return [AppendText(None)] if self._stream_started else self._speech_end()

    def _audio_chunks(self, pcm: bytes) -> list[Effect]:
        assert self._rate is not None, "audio must follow Began"
        effects: list[Effect] = []
        for at in range(0, len(pcm), CHUNK_SAMPLES * SAMPLE_BYTES):
            piece = pcm[at : at + CHUNK_SAMPLES * SAMPLE_BYTES]
            effects.append(Send(AudioChunk(self._rate, SAMPLE_BYTES, 1, piece, timestamp=self._now_ms).event()))
            self._samples += len(piece) // SAMPLE_BYTES
        return effects

    def _speech_end(self) -> list[Effect]:
        event, self._pending_speech = self._pending_speech, None
        silent: list[Effect] = []
        if self._rate is None and isinstance(event, Synthesize):
            # Clients read the audio format from the first chunk, and some fail without one.
            silent = [*self.report(SpeechBegan(NOTHING_RATE)), *self._audio_chunks(bytes(CHUNK_SAMPLES * SAMPLE_BYTES))]
        stop: list[Effect] = [Send(AudioStop(timestamp=self._now_ms).event())] if self._rate is not None else []
        self._rate = None
        if isinstance(event, SynthesizeStart):
            stop.append(Send(SynthesizeStopped().event()))
        return [*silent, *stop]

    @property
    def _now_ms(self) -> int:
        return 0 if self._rate is None else self._samples * 1000 // self._rate

    def _fail(self, error: SpeechError) -> list[Effect]:
        return [] if self._closed else [Send(messages.failure(error)), *self._close()]

    def _close(self) -> list[Effect]:
        self._closed = True
        self._pending_transcript, self._pending_speech = False, None
        return [Close()]


def _out_of_turn(event: str, before: str) -> InvalidRequest:
    return InvalidRequest(f"Send `{before}` before `{event}`.", param="type")
