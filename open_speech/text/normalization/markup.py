"""HTML within plain text -> text: tags are dropped, block tags end a sentence, entities are decoded. Pure.

`x < 3 and y > 5`, `a<b` and `<3` are not tags, and neither is anything between backticks.
"""

from __future__ import annotations

import html
import re
from html.entities import html5

_BLOCKS = frozenset(
    (
        "address article aside blockquote body br button caption center dd details dialog div dl dt fieldset figcaption figure footer "
        "form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol option p pre section select summary table tbody tfoot "
        "thead title tr ul"
    ).split()
)
_CELLS = frozenset({"td", "th"})
_INLINE = frozenset(
    (
        "a abbr acronym audio b base bdi bdo big canvas cite code col colgroup data datalist del dfn em embed font i iframe img input "
        "ins kbd label link map mark meta noscript object optgroup output param picture progress q rp rt ruby s samp script small "
        "source span strike strong style sub sup svg template textarea time track tt u var video wbr"
    ).split()
)
_HIDDEN = frozenset({"script", "style", "template", "svg", "head", "noscript"})
"""Elements whose content is not text."""
_TAGS = _BLOCKS | _CELLS | _INLINE
_FLAGS = (
    "async|autofocus|autoplay|checked|controls|default|defer|disabled|hidden|loop|multiple|muted|open|readonly|required|reversed|selected"
)
LONGEST = 4_000
"""Maximum characters of a tag, a comment or an entity; longer ones are treated as text."""
_VALUE = r"\"[^\"]{0,3000}\"|'[^']{0,3000}'|[^\s\"'<>=`]{1,500}"
_GIVEN = rf"(?:\s{{1,9}}(?:[\w:.@-]{{1,60}}\s?=\s?(?:{_VALUE})|(?:{_FLAGS})(?=[\s/>])))"
_TOKEN = re.compile(
    rf"(?P<code>`[^`\n]{{1,200}}`)"
    rf"|<(?P<power>su[pb])>(?P<digits>[-+−]?\d{{1,4}})</(?P=power)>"
    rf"|<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]{{0,14}})(?P<given>{_GIVEN}{{0,40}})\s{{0,9}}/?>"
    rf"|<!--(?:.{{0,{LONGEST}}}?)-->|<!(?:DOCTYPE|doctype)[^<>]{{0,300}}>"
    rf"|<(?P<link>(?:https?://|mailto:)[^\s<>]{{1,2000}}|[\w.+-]{{1,64}}@[\w.-]{{1,200}})>"
    rf"|&(?P<entity>#\d{{1,7}}|#[xX][\da-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,31}});",
    re.DOTALL,
)
_HALF_VALUE = r"\"[^\"]{0,3000}|'[^']{0,3000}|[^\s\"'<>=`]{0,500}"
_BEGUN = re.compile(
    rf"<(?:/?(?:(?P<name>[a-zA-Z][a-zA-Z0-9]{{0,14}})(?:{_GIVEN}{{0,40}}(?:\s{{1,9}}(?:[\w:.@-]{{0,60}}(?:\s?=\s?(?:{_HALF_VALUE}))?)?)?/?)?)?)?$"
    r"|<(?:https?:|mailto:)[^\s<>]{0,2000}$|<[\w.+-]{1,64}@?[\w.-]{0,200}$"
    r"|<!(?:-?$|--(?:(?!-->).)*$|[A-Za-z][^<>]{0,300}$)|<su[pb]>[-+−]?\d{0,4}(?:<(?:/(?:s(?:u(?:[pb])?)?)?)?)?$|&#?\w{0,32}$",
    re.DOTALL,
)
_ADDRESS = re.compile(r"<[\w.+-]{1,64}@?[\w.-]{0,200}")
_ALT = re.compile(rf"\balt\s?=\s?(?P<value>{_VALUE})")
_UP = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_DOWN = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
_PARAGRAPH = "\n\n"
_LONGEST_CODE = 200


class Markup:
    """Removes HTML from text as it arrives, in fragments of any length."""

    def __init__(self) -> None:
        self.held = ""
        """The end of the text so far, which may be the beginning of a tag."""
        self._hidden = ""

    def feed(self, text: str) -> str:
        """Add text; return the part that is unambiguous."""
        text = self.held + text
        self.held = text[_begun(text) :]
        return self._read(text[: len(text) - len(self.held)])

    def finish(self) -> str:
        """Return the rest, and reset the state."""
        text, self.held = self.held, ""
        read = self._read(text)
        self._hidden = ""
        return read

    def _read(self, text: str) -> str:
        if not self._hidden and "<" not in text and "&" not in text:
            return text
        out: list[str] = []
        place = 0
        for token in _TOKEN.finditer(text):
            if not self._hidden:
                out.append(text[place : token.start()])
            place = token.end()
            replacement = self._token(token)
            if not self._hidden or replacement == _PARAGRAPH:
                out.append(replacement)
        if not self._hidden:
            out.append(text[place:])
        return "".join(out)

    def _token(self, token: re.Match[str]) -> str:
        if token["name"]:
            return self._tag(token, token["name"].lower())
        if token["power"]:
            return token["digits"].translate(_UP if token["power"] == "sup" else _DOWN)
        if token["entity"]:
            return _entity(token[0])
        return token["code"] or (token["link"] or "").removeprefix("mailto:")

    def _tag(self, token: re.Match[str], name: str) -> str:
        if name not in _TAGS or (token["close"] and token["given"]):
            return token[0]
        if name in _HIDDEN and not token[0].endswith("/>"):
            if token["close"] and self._hidden == name:
                self._hidden = ""
                return ""
            if not token["close"] and not self._hidden:
                self._hidden = name
            return ""
        if name == "img" and (alt := _ALT.search(token["given"])):
            return html.unescape(alt["value"].strip("\"'"))
        return _PARAGRAPH if name in _BLOCKS else ", " if name in _CELLS and token["close"] else ""


def _begun(text: str) -> int:
    """Return the position of a token that later text may complete; the length of the text if there is none."""
    place = len(text)
    line = text.rfind("\n") + 1
    if text.count("`", line) % 2 and place - (tick := text.rfind("`")) <= _LONGEST_CODE:
        place = tick
    if "<" in text or "&" in text:
        found = _BEGUN.search(text, max(0, len(text) - LONGEST))
        if found and (not found["name"] or _ADDRESS.fullmatch(found[0]) or any(tag.startswith(found["name"].lower()) for tag in _TAGS)):
            place = min(place, found.start())
    return place


def _entity(written: str) -> str:
    if written[1] != "#" and written[1:] not in html5:
        return written
    char = html.unescape(written)
    # Control and private use characters have internal meanings in later steps, so they are not accepted from input.
    return char if char.isprintable() or char == "\u00a0" else " "


def without_markup(text: str) -> str:
    """Return a whole text without its HTML."""
    markup = Markup()
    return markup.feed(text) + markup.finish()
