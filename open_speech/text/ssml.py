"""SSML -> steps: the part of W3C's Speech Synthesis Markup Language 1.1 that every engine can follow. Pure.

`break`, `sub`, `say-as`, `phoneme`, `prosody` (rate and volume), `emphasis`, `voice`, `lang`, `p`, `s` and `mark`. Unknown tags are ignored
and logged, and their text is spoken. A document type is refused: it could contain entities that expand without limit.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml import DefusedXmlException
from defusedxml.sax import make_parser

from open_speech.errors import InvalidRequest
from open_speech.text.cleanup import closed
from open_speech.text.ipa import LONGEST, marked, without_private
from open_speech.text.say_as import say_as
from open_speech.text.steps import LONGEST_PAUSE_S, Mark, Pause, Say, Step

log = logging.getLogger("open_speech.ssml")

MOST_TAGS = 10_000
DEEPEST = 64
"""Maximum nesting of tags."""
PARAGRAPH = "\n\n"
"""A paragraph break, which ends a sentence even without a full stop."""
_SPEAK = re.compile(
    r"(?:<\?xml[^<>]{0,200}\?>\s*)?(?:<!--.{0,1000}?-->\s*){0,5}(?:<!DOCTYPE\s+speak\b|<(?:\w{1,20}:)?speak[\s/>])", re.DOTALL
)
_BEGUN = re.compile(r"|<(?:\w{0,20}:?\w{0,5}|\?x?m?|!-?|!d?o?c?t?y?p?)", re.IGNORECASE)
_LONGEST_PROLOGUE = 6000
"""Characters of an XML declaration and comments before `<speak>`; as many as `_SPEAK` allows."""
_BLANK = "\ufeff \t\r\n"
_BREAKS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_VOLUMES = {"silent": -90.0, "x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 4.0, "x-loud": 8.0}
_EMPHASIS = {"none": (1.0, 0.0), "reduced": (1.05, -3.0), "moderate": (0.95, 2.0), "strong": (0.88, 4.0)}
"""Speed factor and decibels: stressed words are slower and louder."""
_LOUDEST_DB = 12.0
_SLOWEST, _FASTEST = 0.25, 4.0
_TIME = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})\s?(ms|s)")
_PERCENT = re.compile(r"([+-]?)(\d{1,4}(?:\.\d{1,4})?)%")
_DECIBELS = re.compile(r"([+-]?\d{1,3}(?:\.\d{1,4})?)\s?dB", re.I)
_PLAIN = re.compile(r"\d{1,4}(?:\.\d{1,4})?")
_SILENT = {"desc", "lexicon", "meta", "metadata"}
_KNOWN = _SILENT | {"speak", "audio", "lookup", "token", "w"}


def is_ssml(text: str) -> bool:
    """Return whether a text is SSML: its first tag is `<speak`."""
    return _SPEAK.match(text.lstrip(_BLANK)) is not None


def begins(text: str) -> bool | None:
    """Return whether a text of which more will come is SSML; None while its beginning leaves both possible."""
    if is_ssml(text):
        return True
    begun = text.lstrip(_BLANK)
    possible = len(begun) <= _LONGEST_PROLOGUE and (_BEGUN.fullmatch(begun) or begun.lower().startswith(("<?xml", "<!--", "<!doctype")))
    return None if possible else False


def steps_of(text: str, *, phonemes: bool, language: str = "en") -> list[Step]:
    """Parse SSML; a text without `<speak>` is treated as its content.

    `phonemes` is whether the engine accepts phonemes. `language` is that of text without `xml:lang`.

    Raises InvalidRequest naming `input` for malformed XML, for a document type, and for too many or too deeply nested tags.
    """
    document = text.lstrip(_BLANK) if is_ssml(text) else f"<speak>{text}</speak>"
    reader = _Reader(phonemes, language)
    parser = make_parser()
    parser.forbid_dtd = True
    parser.setContentHandler(reader)
    try:
        parser.parse(io.StringIO(document))
    except SAXParseException as broken:
        where = f"line {broken.getLineNumber()}, column {broken.getColumnNumber()}"
        raise InvalidRequest(f"input is not well-formed SSML: {broken.getMessage()} ({where}).", param="input") from None
    except DefusedXmlException:
        raise InvalidRequest("SSML must not declare a document type or entities.", param="input") from None
    if reader.notes:
        log.info("ignored SSML: %s", ", ".join(sorted(reader.notes)))
    return reader.steps


@dataclass(frozen=True, slots=True)
class _Frame:
    """The state inside a tag."""

    tag: str
    how: Say
    spoken: bool = True
    rewrite: Callable[[str], str] | None = None
    """Returns the spoken form of the text inside the tag."""


class _Reader(ContentHandler):
    """Parses the tags; consecutive texts with the same prosody become one step."""

    def __init__(self, phonemes: bool, language: str) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.notes: set[str] = set()
        self._phonemes = phonemes
        self._language = language
        self._frames = [_Frame("", Say(""))]
        self._inside: list[str] = []
        self._tags = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - the parser requires this name
        self._tags += 1
        if self._tags > MOST_TAGS or len(self._frames) > DEEPEST:
            raise InvalidRequest(f"SSML may have at most {MOST_TAGS} tags, nested at most {DEEPEST} deep.", param="input")
        frame = self._frames[-1]
        tag = name.rpartition(":")[2]
        if frame.rewrite is None and frame.spoken:
            frame = self._entered(frame, tag, {key.rpartition(":")[2]: str(value).strip() for key, value in attrs.items()})
        self._frames.append(replace(frame, tag=tag))

    def endElement(self, name: str) -> None:  # noqa: N802 - as above
        frame = self._frames.pop()
        outer = self._frames[-1]
        if frame.rewrite is not None and outer.rewrite is None:
            words = frame.rewrite(" ".join("".join(self._inside).split()))
            self._inside.clear()
            self._say(words, outer.how)
        if frame.tag in ("p", "s", "paragraph", "sentence") and frame.spoken and frame.rewrite is None:
            self._say(PARAGRAPH, outer.how)

    def characters(self, content: str) -> None:
        frame = self._frames[-1]
        if frame.rewrite is not None:
            self._inside.append(content)
        elif frame.spoken:
            self._say(" ".join(re.split(r"[ \t\r\n]+", without_private(content))), frame.how)

    def _entered(self, frame: _Frame, tag: str, attributes: dict[str, str]) -> _Frame:
        how = frame.how
        if tag not in _KNOWN and f"_{tag.replace('-', '_')}" not in _TAGS:
            self.notes.add(f"<{tag[:40]}>")
        if tag in _SILENT:
            return replace(frame, spoken=False)
        if tag in ("speak", "voice", "lang", "p", "s") and attributes.get("lang"):
            how = replace(how, language=attributes["lang"][:40])
        act = _TAGS.get(f"_{tag.replace('-', '_')}")
        return act(self, replace(frame, how=how), attributes) if act else replace(frame, how=how)

    def _say(self, text: str, how: Say) -> None:
        if not text:
            return
        last = self.steps[-1] if self.steps else None
        if isinstance(last, Say) and (last.is_like(how) or not text.strip()):
            self.steps[-1] = replace(last, text=last.text + text)
        else:
            self.steps.append(replace(how, text=text))

    def _break(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        seconds = _seconds(attributes["time"]) if "time" in attributes else _BREAKS.get(attributes.get("strength", "medium"))
        if seconds is None:
            self.notes.add("the length of a break")
        elif seconds:
            self.steps.append(Pause(min(seconds, LONGEST_PAUSE_S)))
        return frame

    def _mark(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        self.steps.append(Mark(attributes.get("name", "")[:200]))
        return frame

    def _sub(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        alias = without_private(attributes["alias"]) if attributes.get("alias") else None
        return frame if alias is None else replace(frame, rewrite=lambda _: alias)

    def _say_as(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        kind, form, language = attributes.get("interpret-as", "").lower(), attributes.get("format", "").lower(), frame.how.language
        return replace(frame, rewrite=lambda text: say_as(without_private(text), kind, form, language or self._language))

    def _phoneme(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        known = attributes.get("alphabet", "ipa").lower() == "ipa" and 0 < len(attributes.get("ph", "")) <= LONGEST
        if not (known and self._phonemes and without_private(attributes["ph"]).strip()):
            self.notes.add("phonemes")
            return frame
        return replace(frame, rewrite=lambda _: marked(attributes["ph"]))

    def _prosody(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        self.notes.update(f"{name} of prosody" for name in ("pitch", "contour", "range", "duration") if name in attributes)
        speed, volume = _factor(attributes.get("rate", "100%")), _decibels(attributes.get("volume", "medium"))
        if speed is None or volume is None:
            self.notes.add("the rate or volume of prosody")
        return replace(frame, how=_louder(frame.how, speed or 1.0, volume or 0.0))

    def _emphasis(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        # Within a sentence, the cut would be more audible than the stress.
        last = self.steps[-1] if self.steps else None
        if isinstance(last, Say) and (before := last.text.rstrip()) and closed(before) != before and not last.text.endswith(PARAGRAPH):
            self.notes.add("emphasis within a sentence")
            return frame
        return replace(frame, how=_louder(frame.how, *_EMPHASIS.get(attributes.get("level", "moderate"), (1.0, 0.0))))

    def _voice(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        self.notes.update(f"{name} of a voice" for name in ("gender", "age", "variant", "languages") if name in attributes)
        names = attributes.get("name", "").split()
        return replace(frame, how=replace(frame.how, voice=names[0])) if names else frame

    def _lang(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        return frame

    def _p(self, frame: _Frame, attributes: dict[str, str]) -> _Frame:
        self._say(PARAGRAPH, frame.how)
        return frame

    _s = _paragraph = _sentence = _p


_TAGS: dict[str, Callable[[_Reader, _Frame, dict[str, str]], _Frame]] = {
    name: getattr(_Reader, name)
    for name in (
        "_break", "_mark", "_sub", "_say_as", "_phoneme", "_prosody", "_emphasis", "_voice", "_lang", "_p", "_s", "_paragraph", "_sentence",
    )
}  # fmt: skip


def _louder(how: Say, speed: float, volume_db: float) -> Say:
    return replace(
        how, speed=min(max(how.speed * speed, _SLOWEST), _FASTEST), volume_db=min(max(how.volume_db + volume_db, -90.0), _LOUDEST_DB)
    )


def _seconds(text: str) -> float | None:
    found = _TIME.fullmatch(text)
    return float(found[1]) / (1000 if found[2] == "ms" else 1) if found else None


def _factor(text: str) -> float | None:
    """Parse a rate: a name, `80%` (of normal), `+10%` or `-10%` (relative), or a plain factor as in SSML 1.0."""
    if text in _RATES:
        return _RATES[text]
    if percent := _PERCENT.fullmatch(text):
        value = float(percent[2]) / 100
        factor = {"+": 1 + value, "-": 1 - value, "": value}[percent[1]]
        return min(max(factor, _SLOWEST), _FASTEST)
    return min(max(float(text), _SLOWEST), _FASTEST) if _PLAIN.fullmatch(text) else None


def _decibels(text: str) -> float | None:
    if text in _VOLUMES:
        return _VOLUMES[text]
    found = _DECIBELS.fullmatch(text)
    return float(found[1]) if found else None
