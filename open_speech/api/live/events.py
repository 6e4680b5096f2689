"""The events of a Live client: JSON to validated values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from open_speech.api.live.config import CHARS_PER_TOKEN
from open_speech.api.live.errors import InvalidLiveAudio, UnsupportedEvent
from open_speech.api.realtime.client_messages import NAME_CHARS, StrictEvent, decoded, parsed
from open_speech.errors import InvalidValue

FRAME_BYTES = 2 << 20
"""Maximum bytes of an event. A fixture of 30 s is the longest."""
AUDIO_CHARS = 128_000
"""Maximum characters of the audio of an append, in base64."""
FIXTURE_S, FIXTURE_RATE = 30, 24_000
CONTENT_TOKENS = 500
"""Maximum tokens of an appended text."""
UNSUPPORTED = frozenset({"decision.create", "decision.item.create", "decision.item.delete", "transport.dtmf.send"})


class SessionStart(StrictEvent):
    """`session.start`."""

    session: dict[str, Any]


class SessionUpdate(StrictEvent):
    """`session.update`."""

    session: dict[str, Any]


class SessionClose(StrictEvent):
    """`session.close`."""


class AppendAudio(StrictEvent):
    """`session.input_audio.append`; `audio` in base64, or decoded already."""

    audio: str | bytes


class Mute(StrictEvent):
    """`session.input_audio.mute`."""


class Unmute(StrictEvent):
    """`session.input_audio.unmute`."""


class PlayFixture(StrictEvent):
    """`session.output_audio.fixture.play`: 16-bit PCM at 24 kHz, in base64, or decoded already."""

    audio: str | bytes


class AppendText(StrictEvent):
    """An append of text; `delegation_id` must be present, and may be null."""

    content: str
    delegation_id: Annotated[str, Field(min_length=1, max_length=NAME_CHARS)] | None


class AppendInstructions(AppendText):
    """`session.instructions.append`: a standing rule."""


class AppendThinking(AppendText):
    """`session.thinking.append`: context that is not spoken."""


class AppendCommentary(AppendText):
    """`session.commentary.append`: material to be voiced now."""


class CreateResponseItem(StrictEvent):
    """`response.item.create`."""

    item: dict[str, Any]


class CreateResponse(StrictEvent):
    """`response.create`."""


ClientEvent = (
    SessionStart | SessionUpdate | SessionClose | AppendAudio | Mute | Unmute | PlayFixture | AppendInstructions | AppendThinking
    | AppendCommentary | CreateResponseItem | CreateResponse
)  # fmt: skip


class _Classes:
    by_type: ClassVar[Mapping[str, type[ClientEvent]]] = {
        "session.start": SessionStart,
        "session.update": SessionUpdate,
        "session.input_audio.append": AppendAudio,
        "session.input_audio.mute": Mute,
        "session.input_audio.unmute": Unmute,
        "session.instructions.append": AppendInstructions,
        "session.thinking.append": AppendThinking,
        "session.commentary.append": AppendCommentary,
        "session.output_audio.fixture.play": PlayFixture,
        "response.item.create": CreateResponseItem,
        "response.create": CreateResponse,
        "session.close": SessionClose,
    }


def parse(body: Mapping[str, Any]) -> ClientEvent:
    """Validate one event. Raises subclasses of InvalidRequest that name the field."""
    kind = body.get("type")
    if isinstance(kind, str) and kind in UNSUPPORTED:
        raise UnsupportedEvent(f"This server does not offer `{kind}`.", param="type")
    event = parsed(body, _Classes.by_type)
    if isinstance(event, AppendText) and len(event.content) > CONTENT_TOKENS * CHARS_PER_TOKEN:
        raise InvalidValue(f"The content is longer than {CONTENT_TOKENS} tokens.", param="content")
    return event


def audio_of(event: AppendAudio | PlayFixture, width: int) -> bytes:
    """Return the audio of an event, in whole samples of `width` bytes. Raises InvalidLiveAudio."""
    limit = AUDIO_CHARS if isinstance(event, AppendAudio) else FIXTURE_S * FIXTURE_RATE * 2 * 4 // 3 + 4
    chars = len(event.audio) if isinstance(event.audio, str) else len(event.audio) * 4 // 3
    if not chars:
        raise InvalidLiveAudio("The audio is empty.", param="audio")
    if chars > limit:
        raise InvalidLiveAudio(f"The audio is longer than {limit} characters in base64.", param="audio")
    try:
        return decoded(event.audio, width)
    except InvalidValue as problem:
        raise InvalidLiveAudio(problem.message, param="audio") from None
