"""Transcript -> plain text, SubRip (SRT) and WebVTT. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from open_speech.transcript import Transcript


def to_text(transcript: Transcript) -> str:
    """Write the text and a newline, as OpenAI's `text` format does."""
    return f"{transcript.text}\n"


def to_srt(transcript: Transcript) -> str:
    """Write numbered SubRip cues; a transcript without text gives an empty file."""
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.replace('-->', '->')}\n\n"
        for number, (start, end, text) in enumerate(_cues(transcript), start=1)
    )


def to_vtt(transcript: Transcript) -> str:
    """Write WebVTT cues after the `WEBVTT` line; `&`, `<` and `>` are escaped, because a cue's text is markup."""
    cues = (f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escape(text)}\n\n" for start, end, text in _cues(transcript))
    return "WEBVTT\n\n" + "".join(cues)


def _cues(transcript: Transcript) -> Iterator[tuple[int, int, str]]:
    """Give start and end in milliseconds and the text of each segment that has any; a blank line would end the cue."""
    for segment in transcript.segments:
        text = "\n".join(line.strip() for line in segment.text.splitlines() if line.strip())
        if text:
            start = max(0, round(segment.start * 1000))
            yield start, max(start, round(segment.end * 1000)), text


def _clock(milliseconds: int, point: str) -> str:
    """Write a time as hours:minutes:seconds and three decimals; hours have two digits or as many as they need."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{rest:03d}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
