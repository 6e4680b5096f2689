"""espeak-ng through its command line, and the runner around it, which the server starts as a process of its own."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator

from open_speech.audio import Audio, from_pcm16
from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import BackendFailed, UnsupportedLanguage
from runners.wiring.bento_service import Resources, tts_service

log = logging.getLogger("open_speech_espeak")

WORDS_PER_MINUTE = 175
"""The speed of espeak-ng that is 1.0 here."""
WAV_HEADER_BYTES = 44
"""espeak-ng writes this header before it knows the length; samples follow up to the end."""
LONGEST_S = 60
"""Seconds after which a piece of text has failed. It takes espeak-ng some milliseconds."""


class Espeak:
    """The voices of espeak-ng. Each piece of text is one run of the program, so nothing is kept between two calls."""

    _program: str

    def __init__(self, setup: Setup) -> None:
        """Take the setup. Nothing is loaded here: the server builds a backend before it is used."""
        self._model = setup.model

    def load(self) -> None:
        """Find the program. Raises BackendFailed if it is missing."""
        program = shutil.which("espeak-ng")
        if program is None:
            raise BackendFailed("espeak-ng is not installed.")
        self._program = program

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio of a piece of text, at the model's rate.

        The server has checked the voice, the speed and the text against the catalog. Raises UnsupportedLanguage at the call: a voice of
        espeak-ng reads its own language only.
        """
        voice = next(voice for voice in self._model.voices if voice.id == options.voice)
        if options.language and _primary(options.language) != _primary(voice.language):
            message = f"The voice `{voice.id}` speaks `{voice.language}`, not `{options.language}`."
            raise UnsupportedLanguage(message, param="language")
        return self._speak(text, voice.id, options.speed)

    # A method with `yield` runs at the first next(), which is too late for the error above: it has to come at the call.
    def _speak(self, text: str, voice: str, speed: float) -> Iterator[Audio]:
        # By stdin: text that begins with a hyphen would be an option. What stands in [[ ]] would be read as phonemes.
        command = [self._program, "--stdout", "--stdin", "-b", "1", "-z", "-v", voice, "-s", str(round(WORDS_PER_MINUTE * speed))]
        written = text.replace("[[", "[ [").encode()
        try:
            done = subprocess.run(command, input=written, capture_output=True, check=True, timeout=LONGEST_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            # The message goes to the client. What espeak-ng wrote may have paths in it, and is for the log.
            log.error("%s: %s", error, error.stderr)
            raise BackendFailed("espeak-ng failed on this text.") from error
        assert self._model.sample_rate is not None
        yield from_pcm16(done.stdout[WAV_HEADER_BYTES:], self._model.sample_rate)


def _primary(language: str) -> str:
    """Return the language of a tag without its region: `en` of `en-US`."""
    return language.lower().replace("_", "-").partition("-")[0]


Runner = tts_service("espeak", Espeak, Resources(threads=2))
