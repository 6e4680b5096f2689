"""The format of a model index as types, which give the parser and the JSON Schema in docs/model-index.schema.json. Pure.

Each field is checked here; conditions between fields are checked in rows.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Strict, Tag

_PART = "[A-Za-z0-9][A-Za-z0-9._-]*"
_PATH = "[A-Za-z0-9_][A-Za-z0-9_.+@-]*"
_HIDDEN = r"\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"

PATH_CHARS = 200
"""Maximum length of the path of a file in characters."""
RULES = {
    "id": (rf"^{_PART}(?:/{_PART}){{0,2}}$", "one to three parts of letters, digits and `._-`, separated by `/`"),
    "name": (r"^[a-z0-9]+(?:-[a-z0-9]+)*$", "lower-case letters, digits and single hyphens"),
    "language": (r"^[a-z]{2,3}$", "an ISO-639 code of two or three lower-case letters"),
    "tag": (r"^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$", "a BCP-47 tag such as `en-US`"),
    "voice": (r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "letters, digits and `._-`"),
    "sha256": (r"^[0-9a-f]{64}$", "64 lower-case hexadecimal digits"),
    "path": (rf"^{_PATH}(?:/{_PATH})*$", "a relative path of letters, digits and `_.+@-`, whose parts do not begin with a dot"),
    "url": (r"^https?://[A-Za-z0-9.:\[\]-]+/[!-~]*$", "a URL with `https://`, a host and a path, in ASCII"),
    "repo": (rf"^{_PART}/{_PART}$", "`owner/name`"),
    "text": (rf"^[^{_HIDDEN}]*$", "text without control characters and other invisible characters"),
}
"""Name of a rule -> its regular expression, and the same in words. The expressions mean the same in JSON Schema."""


def _rule(name: str, longest: int, shortest: int = 1) -> Any:
    """Return pydantic's field of a text that follows a rule; lengths are in characters, and 0 leaves them to the rule."""
    pattern, words = RULES[name]
    bounds: dict[str, Any] = {"min_length": shortest, "max_length": longest} if longest else {}
    return Field(pattern=pattern, **bounds, description=f"{words[0].upper()}{words[1:]}.")


ModelId = Annotated[str, _rule("id", 128)]
IndexName = Annotated[str, _rule("name", 40)]
BackendName = Annotated[str, _rule("name", 60)]
FilePath = Annotated[str, _rule("path", PATH_CHARS)]
Sha256 = Annotated[str, _rule("sha256", 0)]
Language = Annotated[str, _rule("language", 0)]
LanguageTag = Annotated[str, _rule("tag", 35)]
Name = Annotated[str, _rule("voice", 100)]
Repository = Annotated[str, _rule("repo", 120)]
Label = Annotated[str, _rule("text", 100)]
Sentence = Annotated[str, _rule("text", 300)]
OptionalSentence = Annotated[str, _rule("text", 300, 0)]
Url = Annotated[str, _rule("url", 500)]
VoiceId = Annotated[str, _rule("voice", 64)]


class _Table(BaseModel):
    """A table without other keys, and without conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class VoiceRow(_Table):
    """A voice of a speech synthesis model."""

    id: VoiceId
    language: LanguageTag
    name: OptionalSentence = ""
    gender: Literal["female", "male"] | None = None
    speakers: list[VoiceId] = Field([], max_length=4000)


class FileRow(_Table):
    """A file of a model, identified by its content."""

    path: FilePath
    sha256: Sha256
    size: int = Field(ge=0, le=1 << 40, description="Size in bytes.")


class HubRow(_Table):
    """A repository on the Hugging Face hub that has the files."""

    hub: Repository
    revision: Name = "main"
    paths: dict[FilePath, FilePath] = Field({}, max_length=500, description="File -> its path in the repository, if they differ.")


class UrlRow(_Table):
    """Direct downloads of the files."""

    urls: dict[FilePath, Url] = Field(min_length=1, max_length=500, description="File -> its URL.")


class ArchiveItem(_Table):
    """A wheel or sdist on the package index of the server."""

    project: Name
    version: Annotated[str, _rule("path", 100)]
    filename: FilePath
    sha256: Sha256
    size: int | None = Field(None, ge=0, le=1 << 40, description="Size in bytes.")


Member = Annotated[tuple[Annotated[int, Strict(), Field(ge=0, le=19)], Annotated[FilePath, Strict()]], Strict(False)]


class ArchiveRow(_Table):
    """Files inside archives of the package index."""

    archives: list[ArchiveItem] = Field(min_length=1, max_length=20)
    members: dict[FilePath, Annotated[list[Member], Field(min_length=1, max_length=50)]] = Field(
        min_length=1, max_length=500, description="File -> the members that form it when joined, as [number of the archive from 0, path]."
    )


def _kind(source: Any) -> str | None:
    """Return the kind of a source, by its keys; None if it has none of them."""
    if not isinstance(source, dict):
        return None
    return next((kind for kind in ("hub", "urls", "archives") if kind in source), None)


NO_SOURCE = "must have `hub`, `urls`, or `archives` with `members`"
SourceRow = Annotated[
    Annotated[HubRow, Tag("hub")] | Annotated[UrlRow, Tag("urls")] | Annotated[ArchiveRow, Tag("archives")],
    Discriminator(_kind, custom_error_type="no_source", custom_error_message=NO_SOURCE),
]


class ModelRow(_Table):
    """A model."""

    id: ModelId
    backend: BackendName
    task: Literal["speech-to-text", "text-to-speech", "diarization"]
    licence: Label
    languages: list[Language] = Field(min_length=1, max_length=300)
    description: Sentence
    aliases: list[ModelId] = Field([], max_length=20, description="Other names that requests may use.")
    default_voice: VoiceId | None = None
    sample_rate: int | None = Field(None, ge=4000, le=192_000, description="Sample rate in hertz of the audio that the model generates.")
    word_times: bool = False
    translates: bool = False
    clones: bool = False
    designs: bool = False
    instructs: bool = False
    voice: list[VoiceRow] = Field([], max_length=1000)
    file: list[FileRow] = Field([], max_length=500)
    source: list[SourceRow] = Field([], max_length=10)


class IndexFile(_Table):
    """A model index of Open Speech."""

    format: Literal[1]
    name: IndexName
    revision: int = Field(ge=1, le=2**31, description="Number of the version; a later version has a higher number.")
    description: OptionalSentence = ""
    homepage: Url | None = None
    model: list[ModelRow] = Field(min_length=1, max_length=1000)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an index, as parsed from TOML."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **IndexFile.model_json_schema()}
    _close(schema)
    return schema


def _close(node: Any) -> None:
    """Add what pydantic leaves out: a table of files has no keys but those that are paths, and these are not longer than a path."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node |= {"additionalProperties": False, "propertyNames": {"maxLength": PATH_CHARS}}
        for child in node.values():
            _close(child)
    elif isinstance(node, list):
        for child in node:
            _close(child)
