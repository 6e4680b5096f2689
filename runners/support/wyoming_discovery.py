"""Discovery of the programs, models and voices of a Wyoming server, by its response to `describe`, and our entries for them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from open_speech.backends import ModelEntry, Task, Voice
from open_speech.errors import BackendFailed
from open_speech.languages import language_code
from runners.support.backend_options import WyomingSttOptions, WyomingTtsOptions
from runners.support.peer_names import id_of
from runners.support.retry import Busy
from runners.support.wyoming_connection import WyomingConnection

PREFIX = "wyoming/"
DESCRIBE_S = 5.0
"""Maximum seconds for the response to `describe`."""
NOMINAL_RATE = 22_050
"""Sample rate in hertz of a program before its first audio, which then has its actual rate."""


@dataclass(frozen=True, slots=True)
class Program:
    """A recognizer or synthesizer with a name; a server may have several."""

    name: str
    models: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Models of a recognizer: (name, languages)."""
    voices: tuple[Voice, ...] = ()
    """Voices of a synthesizer."""


@dataclass(frozen=True, slots=True)
class Info:
    """The installed programs of one server."""

    asr: tuple[Program, ...] = ()
    tts: tuple[Program, ...] = ()


def described(uri: str, deadline: float) -> Info:
    """Query the programs of a server. Raises Busy (not reachable), BackendTimeout or BackendFailed (not a Wyoming server)."""
    with WyomingConnection(uri, min(deadline, time.monotonic() + DESCRIBE_S)) as line:
        line.send("describe")
        for event in line.events():
            if event.type == "info":
                return info_of(event.data)
    raise Busy(BackendFailed("The Wyoming server disconnected before it had sent `info`."))


def info_of(data: Mapping[str, Any]) -> Info:
    """Parse the data of an `info` event; invalid items are left out."""
    asr = (Program(name, models=tuple(_models(program))) for name, program in _named(data.get("asr")))
    tts = (Program(name, voices=tuple(_voices(program))) for name, program in _named(data.get("tts")))
    return Info(tuple(asr), tuple(tts))


def listening_offers(settings: Mapping[str, Any], *, ask: bool) -> list[ModelEntry]:
    """Return entries of all models of the server at STT_WYOMING_URI. Raises subclasses of SpeechError if the query fails."""
    info = _asked(WyomingSttOptions.of(settings).uri) if ask else Info()
    entries: dict[str, ModelEntry] = {}
    for program in info.asr:
        for name, languages in program.models:
            model_id = id_of(PREFIX, name)
            description = f"`{name}` of `{program.name}`, a Wyoming server."
            entry = ModelEntry(model_id, "wyoming", Task.STT, "see the server", languages, description, peer_name=name)
            entries.setdefault(model_id, entry)
    return list(entries.values())


def speaking_offers(settings: Mapping[str, Any], *, ask: bool) -> list[ModelEntry]:
    """Return an entry of each program of the server at TTS_WYOMING_URI, like `listening_offers`.

    An entry has no default voice: a server does not report its own, and lists more voices than it has files for.
    """
    info = _asked(WyomingTtsOptions.of(settings).uri) if ask else Info()
    entries: dict[str, ModelEntry] = {}
    for program in info.tts:
        model_id = id_of(PREFIX, program.name)
        languages = tuple(dict.fromkeys(voice.language.partition("-")[0] for voice in program.voices if voice.language))
        entry = ModelEntry(
            model_id, "wyoming-tts", Task.TTS, "see the server", languages, description=f"`{program.name}`, a Wyoming server.",
            voices=program.voices, sample_rate=NOMINAL_RATE, peer_name=program.name,
        )  # fmt: skip
        entries.setdefault(model_id, entry)
    return list(entries.values())


def _asked(uri: str) -> Info:
    try:
        return described(uri, time.monotonic() + DESCRIBE_S)
    except Busy as busy:
        raise busy.error from busy


def _named(rows: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (name, item) for each item that has a name and is installed."""
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("name"), str) and row["name"] and row.get("installed") is not False:
            yield row["name"], row


def _languages(row: Mapping[str, Any]) -> list[str]:
    told = row.get("languages")
    return [code.replace("_", "-") for code in told if isinstance(code, str) and code] if isinstance(told, list) else []


def _models(program: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, row in _named(program.get("models")):
        yield name, tuple(dict.fromkeys(language_code(code) or code.lower() for code in _languages(row)))


def _voices(program: Mapping[str, Any]) -> Iterator[Voice]:
    for name, row in _named(program.get("voices")):
        speakers = tuple(speaker for speaker, _ in _named(row.get("speakers")))
        yield Voice(name, next(iter(_languages(row)), ""), str(row.get("description") or ""), speakers=speakers)
