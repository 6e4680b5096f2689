"""Voices beyond those of the models: presets from a file, recordings to clone, and the resolution of a request's voice."""

from open_speech.voices.folder import FolderVoice, VoiceFolder
from open_speech.voices.library import Consent, Library, NewVoice, StoredVoice
from open_speech.voices.presets import Preset, Presets, read_presets
from open_speech.voices.resolver import ResolvedVoice, VoiceOptions, VoiceResolver
from open_speech.voices.sample_sentences import greeting
from open_speech.voices.samples import SAMPLE_BYTES, sample_of

__all__ = [
    "SAMPLE_BYTES",
    "VoiceResolver",
    "Consent",
    "FolderVoice",
    "Library",
    "VoiceOptions",
    "NewVoice",
    "Preset",
    "Presets",
    "ResolvedVoice",
    "StoredVoice",
    "VoiceFolder",
    "greeting",
    "read_presets",
    "sample_of",
]
