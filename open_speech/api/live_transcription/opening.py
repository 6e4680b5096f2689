"""The options of a live transcription -> the parts that serve it."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.api.live_transcription.messages import Query
from open_speech.api.live_transcription.session import Session
from open_speech.backends import DiarizeOptions, TranscribeOptions
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import UnsupportedValue
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import LiveInput
from open_speech.recognition.live.recognizer import LiveRecognizer
from open_speech.recognition.live.speaker_tracker import SpeakerTracker
from open_speech.recognition.live.turn_detection import LONGEST_SILENCE_MS, Endpointer

PREFIX_MS = 300
"""Milliseconds before the detected start of an utterance that belong to it: a first consonant is faint."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that is ready for audio, with the defaults of the server filled in."""

    session: Session
    recognizer: LiveRecognizer
    input: LiveInput
    vad: bool
    endpointing_ms: int
    is_semantic: bool = False
    """Whether turns are detected by meaning."""
    tracker: SpeakerTracker | None = None


async def opened(query: Query, engine: Engine, settings: Settings) -> Opened:
    """Open a stream. Raises subclasses of SpeechError if the model or the options are not valid."""
    semantic = query.turn_detection == "semantic"
    if semantic and query.vad is False:
        raise UnsupportedValue("Semantic turns need speech detection: leave out `vad`, or set it to true.", param="turn_detection")
    vad = (settings.stt_vad_enabled or semantic) if query.vad is None else query.vad
    endpointing_ms = settings.stream_endpointing_ms if query.endpointing is None else query.endpointing
    recognition = engine.recognition
    tracker = await recognition.trackers.tracker(DiarizeOptions(max_speakers=query.max_speakers)) if query.diarize else None
    word_times = tracker is not None and recognition.times_words(query.model)
    options = TranscribeOptions(language=query.language, prompt=query.prompt, hotwords=query.hotwords, word_times=word_times)
    recognizer = await recognition.recognizer(query.model, options)
    decider = recognition.turns
    longest_ms = LONGEST_SILENCE_MS[query.eagerness] if semantic and decider.is_semantic else None
    turns = Endpointer(settings.stream_vad_threshold, PREFIX_MS, endpointing_ms, longest_silence_ms=longest_ms) if vad else None
    if longest_ms is not None:
        decider.prepare()
    input = LiveInput(InputBuffer(await recognition.detector() if vad else None, turns), decider=decider)
    session = Session(vad=vad, interim_results=query.interim_results, resumable=query.resumable, diarize=query.diarize)
    return Opened(session, recognizer, input, vad, endpointing_ms, is_semantic=longest_ms is not None, tracker=tracker)
