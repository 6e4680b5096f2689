"""The voice library: recordings of people who gave their consent, by name, and their consents. Blocking; thread-safe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from open_speech.audio import Audio
from open_speech.errors import InvalidValue, LibraryFull
from open_speech.voices.presets import is_name
from open_speech.voices.record_store import Record, RecordStore

VOICE_PREFIX, CONSENT_PREFIX = "voice_", "cons_"
VOICES, CONSENTS = "voices", "consents"
"""Names of the subfolders of the library."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")


class StoredVoice(Record, frozen=True):
    """A voice of the library."""

    name: str
    consent: str
    """Id of a consent, or its wording."""
    language: str | None = None
    """BCP-47 tag of the recording."""
    transcript: str | None = None
    """Transcript of the recording, if known."""
    seconds: float


class Consent(Record, frozen=True):
    """A recording in which a person agrees to the use of their voice."""

    name: str
    language: str
    """BCP-47 tag."""


@dataclass(frozen=True, slots=True)
class NewVoice:
    """The data of a voice to be stored."""

    name: str
    consent: str
    language: str | None = None
    transcript: str | None = None


class Library:
    """Stored voices and consents, at most `limit` of each, under one folder."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._voices = RecordStore(folder / VOICES, StoredVoice, VOICE_PREFIX)
        self._consents = RecordStore(folder / CONSENTS, Consent, CONSENT_PREFIX)
        self._limit = limit

    def voices(self) -> list[StoredVoice]:
        """List the voices, newest first."""
        return self._voices.all()

    def find(self, name: str) -> StoredVoice | None:
        """Find a voice by its id or its name."""
        if name.startswith(VOICE_PREFIX) and (voice := self._voices.get(name)) is not None:
            return voice
        return next((voice for voice in self._voices.all() if voice.name == name), None)

    def recording(self, voice: StoredVoice) -> Path:
        """Return the path of a voice's recording: WAV, mono, at REFERENCE_RATE."""
        return self._voices.audio_path(voice.id)

    def add(self, new: NewVoice, audio: Audio) -> StoredVoice:
        """Store a voice; `audio` is at REFERENCE_RATE.

        Raises InvalidValue naming `name`, `consent` or `language`, LibraryFull, or StorageFailed.
        """
        check_name(new.name)
        if new.language is not None:
            check_language(new.language)
        if new.consent.startswith(CONSENT_PREFIX) and self._consents.get(new.consent) is None:
            raise InvalidValue(f"There is no consent `{new.consent[:64]}`.", param="consent")
        with self._voices.lock:
            existing = self._voices.all()
            if any(voice.name == new.name for voice in existing):
                raise InvalidValue(f"A voice named `{new.name}` already exists.", param="name")
            self._require_room(len(existing), "voices")
            name, now = self._voices.new_id()
            voice = StoredVoice(
                id=name, created_at=now, name=new.name, consent=new.consent, language=new.language, transcript=new.transcript,
                seconds=round(audio.seconds, 3),
            )  # fmt: skip
            self._voices.put(voice, audio)
        return voice

    def remove(self, voice: StoredVoice) -> bool:
        """Delete a voice and its recording; return False if it does not exist. Raises StorageFailed."""
        return self._voices.remove(voice.id)

    def consents(self) -> list[Consent]:
        """List the consents, newest first."""
        return self._consents.all()

    def consent(self, name: str) -> Consent | None:
        """Find a consent by its id."""
        return self._consents.get(name)

    def add_consent(self, name: str, language: str, audio: Audio) -> Consent:
        """Store a consent; `audio` is at REFERENCE_RATE. Raises InvalidValue naming `name` or `language`, LibraryFull, or StorageFailed."""
        check_name(name)
        check_language(language)
        with self._consents.lock:
            self._require_room(len(self._consents.all()), "consents")
            new_id, now = self._consents.new_id()
            consent = Consent(id=new_id, created_at=now, name=name, language=language)
            self._consents.put(consent, audio)
        return consent

    def rename_consent(self, consent: Consent, name: str) -> Consent:
        """Rename a consent. Raises InvalidValue naming `name`, or StorageFailed."""
        check_name(name)
        renamed = consent.model_copy(update={"name": name})
        self._consents.change(renamed)
        return renamed

    def remove_consent(self, consent: Consent) -> bool:
        """Delete a consent and its recording; return False if it does not exist.

        Raises InvalidValue naming `consent_id` while a voice depends on it, or StorageFailed.
        """
        dependent = [voice.name for voice in self._voices.all() if voice.consent == consent.id]
        if dependent:
            raise InvalidValue(f"The voice `{dependent[0]}` depends on this consent: delete the voice first.", param="consent_id")
        return self._consents.remove(consent.id)

    def _require_room(self, count: int, what: str) -> None:
        if count >= self._limit:
            raise LibraryFull(f"The library contains {count} {what}, which is its limit: delete one first.")


def check_name(name: str) -> None:
    """Raise InvalidValue naming `name` unless it is a valid name of a voice."""
    if not is_name(name) or name.startswith((VOICE_PREFIX, CONSENT_PREFIX)):
        raise InvalidValue("`name` must have 1 to 64 letters, digits, spaces, dots, dashes or underscores.", param="name")


def check_language(language: str) -> None:
    """Raise InvalidValue naming `language` unless it looks like a BCP-47 tag."""
    if not _LANGUAGE.match(language):
        raise InvalidValue("`language` must be a BCP-47 tag such as `en` or `pt-BR`.", param="language")
