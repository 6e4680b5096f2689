"""Text in scripts that a voice cannot read: it is spoken by another voice, or left out with a warning. Pure except for its log line."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from open_speech.backends import ModelEntry
from open_speech.errors import UnreadableText
from open_speech.text.cleanup import says_something
from open_speech.text.normalization.scripts import LANGUAGES, NAMES, ScriptRun, script_runs, without_empty_brackets
from open_speech.text.steps import Say, Step

log = logging.getLogger("open_speech.legibility")

OtherScripts = Literal["skip", "voice"]
"""Handling of text in a script that the voice cannot read: leave it out, or speak it with another voice that reads it."""
_MOST_VOICES = 3
"""Maximum voices that an error lists."""


class Legibility:
    """Filters the steps of one speech to those that can be spoken."""

    def __init__(
        self,
        entry: ModelEntry,
        speaker: Callable[[Say], tuple[str, str]],
        others: Iterable[ModelEntry],
        *,
        scripts: OtherScripts,
        installed: Iterable[ModelEntry] = (),
    ) -> None:
        """`speaker` returns the voice of a step and the language that it reads, empty if it reads every script.

        `others` are the models whose voices an error may name; `installed` those that may speak a text which no voice of `entry` reads.
        """
        self.warnings: list[str] = []
        """One sentence for each script that was left out; filled as the text arrives."""
        self._entry = entry
        self._speaker = speaker
        self._others = list(others)
        self._scripts = scripts
        self._installed = list(installed)
        self._left_out: dict[str, str] = {}
        self._has_speech = False

    def steps(self, steps: Iterable[Step]) -> list[Step]:
        """Return the steps of a whole text. Raises UnreadableText if none of it can be read."""
        readable = [part for step in steps for part in self._parts(step)]
        self._check()
        return readable

    async def stream(self, steps: AsyncGenerator[Step, None]) -> AsyncGenerator[Step, None]:
        """Yield steps as they arrive. Raises UnreadableText at the end if none of them could be read."""
        async with aclosing(steps):
            async for step in steps:
                for part in self._parts(step):
                    yield part
        self._check()

    def _parts(self, step: Step) -> Iterator[Step]:
        if not isinstance(step, Say):
            yield step
            return
        voice, language = self._speaker(step)
        found = script_runs(step.text, language) if language and not step.text.isascii() else [ScriptRun(step.text)]
        if len(found) > 1 or found[0].script:
            yield from self._split(step, voice, found)
        else:
            self._has_speech = self._has_speech or says_something(step.text)
            yield step

    def _split(self, step: Say, voice: str, found: list[ScriptRun]) -> Iterator[Say]:
        text = ""
        for run in found:
            other = self._voice_for(run.script) if run.script and self._scripts == "voice" else None
            if run.script is None:
                text += run.text
            elif other is None:
                text = f"{text} " if text and not text[-1].isspace() else text
                self._leave_out(run.script, voice)
            else:
                yield from self._say(step, text)
                text = ""
                model, name = other
                yield from self._say(replace(step, model=model, voice=name, language=None), run.text)
        yield from self._say(step, without_empty_brackets(text))

    def _say(self, step: Say, text: str) -> Iterator[Say]:
        if text:
            self._has_speech = self._has_speech or says_something(text)
            yield replace(step, text=text)

    def _leave_out(self, script: str, voice: str) -> None:
        if script in self._left_out:
            return
        self._left_out[script] = voice
        warning = f"Text in {NAMES.get(script, script)} was left out: the voice `{voice}` does not read it."
        self.warnings.append(warning)
        log.warning("%s", warning)

    def _voice_for(self, script: str) -> tuple[str, str] | None:
        """Return the model and the first voice that reads a script; the model is empty for that of the request, which comes first."""
        for model in (self._entry, *self._installed):
            for voice in model.voices:
                if not voice.needs and _primary(voice.language) in LANGUAGES.get(script, ()):
                    return "" if model is self._entry else model.id, voice.id
        return None

    def _check(self) -> None:
        if self._has_speech or not self._left_out:
            return
        script, voice = next(iter(self._left_out.items()))
        languages = LANGUAGES.get(script, ())
        able = [
            f"`{known.id}` of `{model.id}`" for model in self._others for known in model.voices if _primary(known.language) in languages
        ]
        hint = (
            f"Voices that read it: {', '.join(able[:_MOST_VOICES])}."
            if able
            else f"Install a voice that reads it: one for {' or '.join(f'`{language}`' for language in languages[:4]) or 'its language'}."
        )
        raise UnreadableText(
            f"The voice `{voice}` does not read {NAMES.get(script, script)}, and the text contains nothing else. {hint}", param="input"
        )


def _primary(language: str) -> str:
    return language.lower().replace("_", "-").partition("-")[0]
