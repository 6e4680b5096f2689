"""Addresses of the web and of mail, names of files and paths, hashtags and handles. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.grammar import matching
from open_speech.text.numbers_en import cardinal, spelled, year

_SIGNS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals", "&": "and", "#": "hash",
    ":": "colon", "~": "tilde", "%": "percent", "@": "at", "+": "plus", ",": "comma", ";": "semicolon", "!": "exclamation mark",
    "*": "star", "$": "dollar", "\\": "backslash",
}  # fmt: skip
_ZONES = (
    "com|org|net|edu|gov|mil|io|dev|ai|app|info|biz|me|tv|co|xyz|tech|cloud|online|site|blog|news|eu|uk|de|fr|es|it|nl|be|ch"
    "|at|se|no|dk|fi|pl|cz|pt|ie|jp|cn|in|us|ca|au|nz|br|mx|ru|kr"
)
_FILES = (
    "pdf|docx?|xlsx?|pptx?|txt|md|csv|tsv|jsonl?|ya?ml|toml|xml|html?|css|jsx?|tsx?|pyc?|ipynb|rs|go|java|cpp|hpp|cs|rb|php"
    "|sh|bat|exe|dll|so|zip|tar|gz|tgz|rar|7z|mp3|mp4|mkv|avi|mov|wav|flac|ogg|opus|jpe?g|png|gif|svg|webp|bmp|tiff?|log|conf"
    "|cfg|ini|env|sql|db|bak|iso|dmg|apk|deb|rpm|onnx|gguf|lock"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_PIECES = re.compile(r"\d+|[^\W\d_]+|[\W_]")
_COUNTED_DIGITS = 2
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def address(text: str) -> str:
    """Return the spoken form of a web or mail address or a file path: signs by name, long numbers digit by digit, words unchanged."""
    text = re.sub(r"^[a-zA-Z]{2,10}://", "", text).rstrip("/")
    return " ".join("".join(_piece(found) for found in _PIECES.finditer(text)).split())


def _piece(found: re.Match[str]) -> str:
    piece = found[0]
    if piece in _SIGNS:
        return f" {_SIGNS[piece]} "
    return f" {_digits(piece)} " if piece.isdigit() and piece.isascii() else piece


def _digits(digits: str) -> str:
    if _YEAR.fullmatch(digits):
        return year(digits)
    return cardinal(digits) if len(digits) <= _COUNTED_DIGITS else spelled(digits)


def _spoken(found: re.Match[str]) -> str:
    return address(found[0])


MAIL = matching(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", _spoken)
_TAIL = r"(?:[/?#][^\s<>\"]{0,2000}[\w/])?"
WEB = matching(
    rf"(?:https?://|ftp://|wss?://|ssh://|git://|file://|www\.)[^\s<>\"]{{0,2000}}[\w/]"
    rf"|(?:[a-zA-Z0-9-]{{1,63}}\.){{1,5}}(?:{_ZONES})(?![\w@-]|\.\w)(?::\d{{2,5}})?{_TAIL}"
    rf"|localhost:\d{{2,5}}{_TAIL}",
    _spoken,
)
FILE = matching(rf"(?:[\w-]{{1,64}}[./]){{1,8}}(?:{_FILES})(?![\w@-]|\.\w|/\w)", _spoken)
PATH = matching(
    r"(?:~|\.{1,2})?/[\w.-]{1,64}(?:/[\w.-]{1,64}){1,20}(?<![.])|(?:~|\.{1,2})/[\w.-]{0,63}\w"
    r"|[A-Za-z]:\\[\w.\\ -]{0,200}\w|/(?:etc|usr|var|home|tmp|opt|dev|bin)(?![\w])",
    _spoken,
)
DOTFILE = matching(r"(?<![\w.)\]])\.(?=[a-z])[\w.-]{1,30}[a-z](?!\w)", _spoken)


def _tag(found: re.Match[str]) -> str:
    return f"hashtag {_words(found[1])}"


def _words(name: str) -> str:
    return " ".join(_digits(word) if word.isdigit() else word for word in _CAMEL.findall(name)) if name.isascii() else name


HASHTAG = matching(r"#((?=\w*[^\W\d])[^\W_][\w]{1,80})", lambda found: _color(found) or _tag(found))


def _color(found: re.Match[str]) -> str | None:
    name = found[1]
    if not re.fullmatch(r"[\dA-F]{6}|[\da-f]{6}", name) or not re.search(r"\d", name):
        return None
    return "hash " + " ".join(spelled(char) if char.isdigit() else char.upper() for char in name)


HANDLE = matching(r"@([A-Za-z_][\w]{0,63})(?!\w)", lambda found: f"at {address(found[1])}")
NUMBER_SIGN = matching(r"#(?=\d)", lambda _: "number ")
