"""The kit of Open Speech over this backend, and what is peculiar to espeak-ng."""

from __future__ import annotations

import pytest
from open_speech_espeak import PLUGIN

from open_speech.audio import concat
from open_speech.backends import SpeechOptions, Synthesizer
from open_speech.errors import UnsupportedLanguage
from open_speech.testing import PluginConformance, SynthesizerConformance


class TestPlugin(PluginConformance):
    plugin = PLUGIN


class TestEspeak(SynthesizerConformance):
    plugin = PLUGIN

    @pytest.mark.parametrize("text", ["-v de", "--version", "[[h@'loU]]"])
    def test_text_is_never_an_option_or_phonemes(self, backend: Synthesizer, options: SpeechOptions, text: str) -> None:
        (audio,) = backend.synthesize(text, options)
        (plain,) = backend.synthesize("v", options)
        assert audio.seconds > plain.seconds

    def test_a_voice_reads_no_other_language(self, backend: Synthesizer) -> None:
        with pytest.raises(UnsupportedLanguage) as refused:
            backend.synthesize("hello", SpeechOptions("en-us", language="de"))
        assert refused.value.param == "language"

    def test_two_voices_sound_different(self, backend: Synthesizer) -> None:
        american, german = (concat(backend.synthesize("Piano.", SpeechOptions(voice)), 22_050) for voice in ("en-us", "de"))
        assert american.samples.tobytes() != german.samples.tobytes()
