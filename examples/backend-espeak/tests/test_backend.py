"""The kit of Open Speech over this backend, and what is peculiar to espeak-ng."""

from __future__ import annotations

import pytest
from open_speech_espeak import PLUGIN

from open_speech.audio import concat
from open_speech.backends import SpeechOptions, Synthesizer
from open_speech.errors import OutOfRange
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

    @pytest.mark.parametrize("speed", [0.4, 2.6])
    def test_a_speed_that_it_does_not_have_is_refused_at_the_call(self, backend: Synthesizer, speed: float) -> None:
        with pytest.raises(OutOfRange) as refused:
            backend.synthesize("hello", SpeechOptions("en-us", speed=speed))
        assert refused.value.param == "speed"

    def test_two_voices_sound_different(self, backend: Synthesizer) -> None:
        american, german = (concat(backend.synthesize("Piano.", SpeechOptions(voice)), 22_050) for voice in ("en-us", "de"))
        assert american.samples.tobytes() != german.samples.tobytes()
