"""One Wyoming connection as a state machine: what the client says and what the engine did go in, effects come out. No I/O, no clock.

Events are taken strictly in their order. While a transcript or the rest of a speech is still owed, `is_busy` tells the driver to take no
more of them: they wait in the network, where they cost no memory, and the end of the connection waits behind them.
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
    AudioChunked,
    Began,
    Close,
    Delta,
    Effect,
    Failed,
    Listen,
    Report,
    Say,
    Send,
    SendInfo,
    Speak,
    SpeechDone,
    Transcribed,
    Voiced,
)
from open_speech.api.wyoming.messages import Asked
from open_speech.api.wyoming.pcm import PcmFormat
from open_speech.errors import InvalidRequest, InvalidValue, SpeechError, TextTooLong

STREAM_CHARS = 1_000_000
"""Characters of one streamed text at most."""
CHUNK_SAMPLES = 1024
"""Samples in one audio-chunk, as is the custom."""
SAMPLE_BYTES = 2
NOTHING_RATE = 22_050
"""Hertz of the moment of silence that answers a text with nothing to speak in it."""


class Session:
    """One connection. Each method takes what happened and gives what is to be done, in order."""

    def __init__(self) -> None:
        self._closed = False
        self._program: str | None = None
        """The program that was chosen for this connection."""
        self._asked: Transcribe | None = None
        """How the next sound is to be transcribed."""
        self._form: PcmFormat | None = None
        """The form of the sound that is coming in."""
        self._owes_transcript = False
        self._transcript_begun = False
        self._stream: SynthesizeStart | None = None
        """The text that is coming in."""
        self._stream_chars = 0
        self._stream_speaks = False
        """Something of that text has been handed on."""
        self._speaking: Synthesize | SynthesizeStart | None = None
        """The speech that is owed, whose text is complete."""
        self._rate: int | None = None
        """Hertz of the speech, once it sounds."""
        self._samples = 0

    @property
    def is_busy(self) -> bool:
        """Whether an answer is owed that needs nothing more of the client: what it says next must wait."""
        return self._owes_transcript or self._speaking is not None

    @property
    def is_open(self) -> bool:
        """Whether the client has begun something that it has not ended."""
        return self._form is not None or self._stream is not None

    def receive(self, asked: Asked) -> list[Effect]:
        """Take an event of the client; only while not `is_busy`."""
        if self._closed:
            return []
        match asked:
            case Describe():
                return [SendInfo()]
            case Ping():
                return [Send(Pong(asked.text).event())]
            case SelectProgram():
                self._program = asked.name
                return []
            case Transcribe() | AudioStart() | AudioChunk() | AudioStop():
                return self._listening(asked)
            case _:
                return self._reading(asked)

    def misread(self, error: SpeechError) -> list[Effect]:
        """Take an event that cannot be read: what follows it cannot be trusted."""
        return self._fail(error)

    def idle(self) -> list[Effect]:
        """Take that nothing has come for too long."""
        if self._closed:
            return []
        return self._fail(InvalidRequest("The connection was idle for too long.")) if self.is_open else self._close()

    def report(self, report: Report) -> list[Effect]:
        """Take what the engine did."""
        if self._closed:
            return []
        match report:
            case Failed(error):
                return self._fail(error)
            case Voiced(is_start, at_s):
                shape = VoiceStarted if is_start else VoiceStopped
                return [Send(shape(timestamp=round(at_s * 1000)).event())]
            case Delta(text):
                return [*self._begin_transcript(), Send(TranscriptChunk(text).event())]
            case Transcribed(text, language):
                return self._heard(text, language)
            case Began(rate):
                self._rate, self._samples = rate, 0
                return [Send(AudioStart(rate, SAMPLE_BYTES, 1, timestamp=0).event())]
            case AudioChunked(pcm):
                return self._sounded(pcm)
            case SpeechDone():
                return self._spoken()

    def _listening(self, asked: Transcribe | AudioStart | AudioChunk | AudioStop) -> list[Effect]:
        match asked:
            case Transcribe():
                self._asked = asked
                return []
            case AudioStart():
                return self._sound_begins(asked)
            case AudioChunk():
                if self._form is None:
                    return self._fail(_out_of_turn("audio-chunk", "audio-start"))
                if (asked.rate, asked.width, asked.channels) != (self._form.rate, self._form.width, self._form.channels):
                    return self._fail(InvalidValue("An `audio-chunk` must have the format of its `audio-start`.", param="rate"))
                return [AppendAudio(asked.audio)]
            case AudioStop():
                if self._form is None:
                    return self._fail(_out_of_turn("audio-stop", "audio-start"))
                self._form, self._owes_transcript = None, True
                return [AppendAudio(None)]

    def _sound_begins(self, start: AudioStart) -> list[Effect]:
        if self._form is not None:
            return self._fail(InvalidRequest("Send `audio-stop` before the next `audio-start`.", param="type"))
        try:
            self._form = PcmFormat(start.rate, start.width, start.channels)
        except SpeechError as error:
            return self._fail(error)
        asked, self._asked = self._asked or Transcribe(), None
        self._transcript_begun = False
        return [Listen(self._form, replace(asked, name=asked.name or self._program))]

    def _begin_transcript(self) -> list[Effect]:
        if self._transcript_begun:
            return []
        self._transcript_begun = True
        return [Send(TranscriptStart().event())]

    def _heard(self, text: str, language: str | None) -> list[Effect]:
        begin = self._begin_transcript()
        chunk: list[Effect] = [Send(TranscriptChunk(text).event())] if begin and text else []
        self._owes_transcript = False
        return [*begin, *chunk, Send(Transcript(text, language=language).event()), Send(TranscriptStop().event())]

    def _reading(self, asked: Synthesize | SynthesizeStart | SynthesizeChunk | SynthesizeStop) -> list[Effect]:
        match asked:
            case Synthesize():
                if self._stream is not None:  # the same text once more, for servers that do not stream
                    return []
                self._speaking = asked
                return [Speak(asked)]
            case SynthesizeStart():
                if self._stream is not None:
                    return self._fail(InvalidRequest("Send `synthesize-stop` before the next `synthesize-start`.", param="type"))
                self._stream, self._stream_chars, self._stream_speaks = asked, 0, False
                return []
            case SynthesizeChunk():
                return self._text(asked.text)
            case SynthesizeStop():
                return self._text_ends()

    def _text(self, text: str) -> list[Effect]:
        if self._stream is None:
            return self._fail(_out_of_turn("synthesize-chunk", "synthesize-start"))
        self._stream_chars += len(text)
        if self._stream_chars > STREAM_CHARS:
            return self._fail(TextTooLong(f"A text may have at most {STREAM_CHARS} characters.", param="text"))
        if self._stream_speaks:
            return [Say(text)]
        if not text.strip():
            return []
        self._stream_speaks = True
        return [Speak(self._stream), Say(text)]

    def _text_ends(self) -> list[Effect]:
        if self._stream is None:
            return self._fail(_out_of_turn("synthesize-stop", "synthesize-start"))
        self._speaking, self._stream = self._stream, None
        return [Say(None)] if self._stream_speaks else self._spoken()

    def _sounded(self, pcm: bytes) -> list[Effect]:
        assert self._rate is not None, "audio must follow Began"
        effects: list[Effect] = []
        for at in range(0, len(pcm), CHUNK_SAMPLES * SAMPLE_BYTES):
            piece = pcm[at : at + CHUNK_SAMPLES * SAMPLE_BYTES]
            effects.append(Send(AudioChunk(self._rate, SAMPLE_BYTES, 1, piece, timestamp=self._now_ms).event()))
            self._samples += len(piece) // SAMPLE_BYTES
        return effects

    def _spoken(self) -> list[Effect]:
        asked, self._speaking = self._speaking, None
        silent: list[Effect] = []
        if self._rate is None and isinstance(asked, Synthesize):
            # Clients take the format of what they play from the first chunk, and some fail without one.
            silent = [*self.report(Began(NOTHING_RATE)), *self._sounded(bytes(CHUNK_SAMPLES * SAMPLE_BYTES))]
        stop: list[Effect] = [Send(AudioStop(timestamp=self._now_ms).event())] if self._rate is not None else []
        self._rate = None
        if isinstance(asked, SynthesizeStart):
            stop.append(Send(SynthesizeStopped().event()))
        return [*silent, *stop]

    @property
    def _now_ms(self) -> int:
        return 0 if self._rate is None else self._samples * 1000 // self._rate

    def _fail(self, error: SpeechError) -> list[Effect]:
        return [] if self._closed else [Send(messages.failure(error)), *self._close()]

    def _close(self) -> list[Effect]:
        self._closed = True
        self._owes_transcript, self._speaking = False, None
        return [Close()]


def _out_of_turn(event: str, before: str) -> InvalidRequest:
    return InvalidRequest(f"Send `{before}` before `{event}`.", param="type")
