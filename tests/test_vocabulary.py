"""The language of what users read: the private vocabulary of earlier versions does not come back, in any text that reaches a person."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from open_speech.app import create_app
from open_speech.cli import COMMANDS, main
from open_speech.config import Settings

ROOT = Path(__file__).parent.parent

TABLE = {
    r"\b(?:tells?|told|telling)\b": "report, return, expose, indicate, send",
    r"\bsounds?\b": "audio",
    r"\blet(?:s|ting)? go\b": "unload, disconnect",
    r"\bfigures\b": "metrics, measurements",
    r"\bline (?:of requests|before|in front of)\b": "queue",
    r"\bdoors?\b": "API, endpoint, protocol",
    r"\bw(?:rites?|ritten|riting|rote) down\b": "transcribed",
    r"\b(?:hears?|heard|hearing|listened to)\b": "transcribed, recognized",
    r"\bstrangers?\b": "unauthenticated client",
    r"\b(?:whoever|who) (?:asks?|talks?|speaks?|listens?|calls?|has no key|should have a key)\b": "client, caller, request",
    r"\b(?:somebody|everybody)\b": "client, user",
    r"\baskers?\b": "client, caller",
    r"\bfilms?\b": "long file, media file",
    r"\bsays? nothing of\b": "when the field is omitted",
    r"\b(?-i:Habits|Wishes|Casting|Ears?|Stretches|Listening)\b": "defaults, SpeechRequest, VoiceResolver, LiveRecognizer, Segmenter",
    r"\bnurser(?:y|ies)\b": "fork server",
    r"\b(?:desk|shelf|shelves|couriers?|clerks?|errands?)\b": "service, record store, webhook sender, job intake, request context",
    r"\bphantoms?\b": "hallucinations",
    r"\bsaid[_ ]as\b": "say_as",
    r"\b(?:(?-i:polish)(?:es|ed|ing)?|narrat(?:ion|es?|ed|ing|or))\b": "postprocess, prosody, cues",
    r"\bpace\b": "throughput",
    r"\bcan be had\b": "available",
    r"\b(?:is|are) (?:not )?here\b": "downloaded, on this server",
    r"\bnot here\b": "not downloaded",
    r"\bwill be here\b": "appears here",
    r"\b(?:hung|hangs) up\b": "disconnected",
    r"\bin the midst of\b": "in the middle of",
    r"\btoo much to do\b": "overloaded",
    r"\b(?<!there )(?:is|are) no (?:address|answer|audio|model|name|number|transcript|voice)\b": "is not a valid …",
    r"\bbroke off\b": "disconnected, ended early",
}
"""Pattern, on text without inline code -> what to write. Only words and phrases that have no other meaning in this project."""


class Text(NamedTuple):
    """One text and the place that a failure names."""

    where: str
    text: str


SKIPPED_CODE = (
    "open_speech/text/",  # rules that read text aloud, in nine languages
    "open_speech/recognition/hallucinations.py",  # what Whisper invents in silence
    "open_speech/languages.py",
    "open_speech/voices/sample_sentences.py",
)

EXCEPTIONS: Mapping[str, str] = {
    "to find the sounds of words": "the sounds of speech (phonemes), not audio",
    "as the user heard it": "a person heard it",
}
"""A phrase that contains a word of the table -> the reason."""


def documents() -> Iterator[Text]:
    """Return the paragraphs of the documentation, code blocks and inline code left out."""
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for number, line in enumerate(text.splitlines(), 1):
            yield Text(f"{path.relative_to(ROOT)}:{number}", re.sub(r"\]\([^)]*\)", "]", line))


def settings() -> Iterator[Text]:
    """Return the descriptions of all settings."""
    for name, field in Settings.model_fields.items():
        yield Text(f"setting {name.upper()}", field.description or "")


def openapi() -> Iterator[Text]:
    """Return every summary and description of the OpenAPI document."""

    def within(node: Any, path: str) -> Iterator[Text]:
        if isinstance(node, list):
            for number, child in enumerate(node):
                yield from within(child, f"{path}/{number}")
        elif isinstance(node, dict):
            for name, child in node.items():
                if name in ("summary", "description") and isinstance(child, str):
                    yield Text(f"openapi {path}/{name}", child)
                else:
                    yield from within(child, f"{path}/{name}")

    return within(create_app(Settings()).openapi(), "")


def help_pages() -> Iterator[Text]:
    """Return the help of every command and option of the command line."""

    def within(command: click.Command, name: str) -> Iterator[Text]:
        yield Text(f"help {name}", command.help or "")
        for option in command.params:
            if isinstance(option, click.Option):
                yield Text(f"help {name} {option.opts[0]}", option.help or "")
        if isinstance(command, click.Group):
            context = click.Context(command)
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found is not None
                yield from within(found, f"{name} {child}")

    yield from within(main, "open-speech")
    yield from (Text(f"help {name}", text) for name, text in COMMANDS.items())


def strings(source: str, where: str) -> Iterator[Text]:
    """Return the texts in Python code: error messages, log lines, output. Docstrings and strings without a space are left out.

    The parts of an f-string are joined with `{}` for each value.
    """
    tree = ast.parse(source)
    left_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(value) for value in node.values}
            text = "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield Text(f"{where}:{node.lineno}", text)


def messages() -> Iterator[Text]:
    """Return the texts in the code of the server, the runners and the command line."""
    for path in [ROOT / "service.py", *sorted((ROOT / "open_speech").rglob("*.py")), *sorted((ROOT / "runners").rglob("*.py"))]:
        where = str(path.relative_to(ROOT))
        if not where.startswith(SKIPPED_CODE):
            yield from strings(path.read_text(encoding="utf-8"), where)


class _Page(HTMLParser):
    """Collects the visible text of a page, and the attributes that are shown or read aloud."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self.texts: list[Text] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("aria-label", "placeholder", "title", "alt") and value:
                self.handle_data(value)

    def handle_data(self, data: str) -> None:
        self.texts.append(Text(f"{self._where}:{self.getpos()[0]}", data))


def page() -> Iterator[Text]:
    """Return the texts of the web page: of its HTML, and every string with a space in its scripts, comments left out."""
    for path in sorted((ROOT / "web").glob("*.html")):
        parser = _Page(str(path.relative_to(ROOT)))
        parser.feed(path.read_text(encoding="utf-8"))
        yield from parser.texts
    for path in sorted((ROOT / "web/js").glob("*.js")):
        code = re.sub(r"/\*.*?\*/", lambda block: "\n" * block[0].count("\n"), path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for number, line in enumerate(code.splitlines(), 1):
            bare = re.sub(r"(?<!:)//.*|class: \"[^\"]*\"", "", line)
            for quoted in re.findall(r"\"([^\"]* [^\"]*)\"|`([^`]* [^`]*)`", bare):
                yield Text(f"{path.relative_to(ROOT)}:{number}", re.sub(r"\$\{[^}]*\}", "{}", "".join(quoted)))


def shell() -> Iterator[Text]:
    """Return the messages of the Makefile and of the scripts in deploy/."""
    for path in [ROOT / "Makefile", *sorted((ROOT / "deploy").rglob("*.sh"))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for quoted in re.findall(r"echo \"([^\"]*)\"", line):
                yield Text(f"{path.relative_to(ROOT)}:{number}", quoted)


SOURCES = {
    "documents": documents,
    "settings": settings,
    "openapi": openapi,
    "help": help_pages,
    "messages": messages,
    "page": page,
    "shell": shell,
}


def found_in(texts: Iterator[Text]) -> list[str]:
    """Return the place, the word and what to write instead, for each word of the table in these texts."""
    found = []
    for where, text in texts:
        prose = re.sub(r"`[^`]*`", "``", text)
        for phrase in EXCEPTIONS:
            prose = prose.replace(phrase, "")
        for pattern, instead in TABLE.items():
            for match in re.finditer(pattern, prose, re.IGNORECASE):
                found.append(f"{where}: {match[0]!r} -> {instead}: {text.strip()[:160]}")
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_users_read_plain_terms(source: str) -> None:
    assert found_in(SOURCES[source]()) == []


@pytest.mark.parametrize(("source", "least"), [("documents", 1000), ("settings", 80), ("openapi", 150), ("help", 40), ("messages", 900)])
def test_the_texts_are_found(source: str, least: int) -> None:
    assert sum(bool(text.strip()) for _, text in SOURCES[source]()) >= least


def test_every_exception_is_needed() -> None:
    texts = [text for source in SOURCES.values() for _, text in source()]
    assert [phrase for phrase in EXCEPTIONS if not any(phrase in text for text in texts)] == []


@pytest.mark.parametrize("pattern", TABLE)
def test_a_pattern_matches_whole_words(pattern: str) -> None:
    assert pattern.startswith(r"\b")
    assert pattern.endswith(r"\b")


@pytest.mark.parametrize(
    "planted",
    [
        "The courier sends the webhook.",
        "The model is let go when nobody uses it.",
        "Who talks is let in like every request.",
        "Whoever asks is told the figures of every door.",
        "A film is written down by the nursery.",
        "What can be had is not here.",
    ],
)
def test_a_planted_sentence_is_found(planted: str) -> None:
    code = f'''def work(name: str) -> None:
    """The docstring of a courier is for developers."""
    log.info(f"{{name}}: {planted}")
'''
    assert found_in(iter([Text("docs/planted.md:1", planted)]))
    found = found_in(strings(code, "planted.py"))
    assert found
    assert all(line.startswith("planted.py:3: ") for line in found)


def test_code_in_backquotes_is_no_word() -> None:
    assert found_in(iter([Text("docs/operations.md:1", "The label `door` names the API.")])) == []
