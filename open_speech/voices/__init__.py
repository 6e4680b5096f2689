"""Voices beyond those of the models: presets from a file, recordings to clone, and who speaks in the end."""

from open_speech.voices.casting import Casting, Manner, Role
from open_speech.voices.folder import FolderVoice, VoiceFolder
from open_speech.voices.greetings import greeting
from open_speech.voices.library import Consent, Library, NewVoice, StoredVoice
from open_speech.voices.presets import Preset, Presets, read_presets
from open_speech.voices.samples import SAMPLE_BYTES, sample_of

__all__ = [
    "SAMPLE_BYTES",
    "Casting",
    "Consent",
    "FolderVoice",
    "Library",
    "Manner",
    "NewVoice",
    "Preset",
    "Presets",
    "Role",
    "StoredVoice",
    "VoiceFolder",
    "greeting",
    "read_presets",
    "sample_of",
]
