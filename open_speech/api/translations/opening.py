"""The start of a translation session: the models, voices and language model of this server that serve it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from open_speech.api.realtime.opening import SESSION_S, new_id, task_of
from open_speech.api.translations.session import Channel, Session
from open_speech.api.translations.settings import Abilities
from open_speech.backends import Task
from open_speech.config import Settings
from open_speech.dialogue.language_models import LanguageModels
from open_speech.engine import Engine
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import LiveInput
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.recognition.live.segmenter import Loudness
from open_speech.recognition.live.turn_detection import Endpointer
from open_speech.synthesis.language_voices import LanguageVoice, language_voices

PREFIX_MS = 300
"""Milliseconds before the detected start of an utterance that belong to it: a first consonant is faint."""
PAUSE_MS = 500
"""Milliseconds of silence that end an utterance, and with it the clause in progress."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has not begun, and what its driver needs."""

    session: Session
    voices: Mapping[str, LanguageVoice]
    llm: str
    """Name of the language model; empty without one."""


async def opened(
    model: str, engine: Engine, settings: Settings, models: LanguageModels, configured: Mapping[str, Any] | None = None
) -> Opened:
    """Create a session. `model` may name a speech-to-text, text-to-speech or language model, which it then uses; other names are free.

    `configured` is the session of an ephemeral key. Raises SpeechError if the server cannot translate as configured.
    """
    task = task_of(settings, engine, model)
    llm = model if models.knows(model) else await models.default_name()
    stt_model = model if task == "stt" else engine.registry.defaults.stt_model
    entry = engine.registry.find(stt_model, Task.STT)
    voices = await language_voices(engine.pool, model if task == "tts" else "")
    abilities = Abilities(
        stt_model=entry.id,
        translates=entry.translates,
        has_llm=bool(llm),
        voices=frozenset(voices),
        task_of=lambda name: task_of(settings, engine, name),
    )
    session = Session(id=new_id("sess"), model=model, abilities=abilities, expires_at=time.time() + SESSION_S, configured=configured)
    return Opened(session, voices, llm)


async def inputs_of(engine: Engine, settings: Settings) -> dict[Channel, LiveInput]:
    """Return the audio of each channel; that of `source` detects the turns, by loudness if the server detects no speech."""
    detector = await engine.recognition.detector() if settings.stt_vad_enabled else Loudness()
    turns = Endpointer(settings.stream_vad_threshold, PREFIX_MS, PAUSE_MS)
    return {"source": LiveInput(InputBuffer(detector, turns)), "english": LiveInput(InputBuffer(None, None))}


def recognizers_of(engine: Engine) -> dict[Channel, SessionRecognizer]:
    """Return the recognizer of each channel."""
    find = engine.recognition.recognizer
    return {"source": SessionRecognizer(find), "english": SessionRecognizer(find)}
