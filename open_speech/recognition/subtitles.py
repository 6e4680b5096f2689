"""A transcript -> text, SubRip (SRT), WebVTT, TSV, LRC, JSON and JSON lines. Pure.

The label of a speaker precedes the text: `[A] text`, in WebVTT `<v A>text`.
"""

from __future__ import annotations

import json
from typing import Any

from open_speech.recognition.subtitle_layout import Cue, Shape, cues
from open_speech.transcript import Segment, Transcript


def to_text(transcript: Transcript) -> str:
    """Write the text and a newline, as OpenAI's `text` format does."""
    return f"{transcript.text}\n"


def to_lines(transcript: Transcript) -> str:
    """Write one line for each segment, as in Whisper's own `txt` files."""
    return "".join(f"{_label(cue)}{_on_one_line(cue.text)}\n" for cue in cues(transcript))


def to_srt(transcript: Transcript, shape: Shape | None = None) -> str:
    """Write numbered SubRip cues; a transcript without text gives an empty file."""
    return "".join(
        f"{number}\n{_clock(_ms(cue.start), ',')} --> {_clock(_ms(cue.end), ',')}\n{_no_arrow(_label(cue) + cue.text)}\n\n"
        for number, cue in enumerate(cues(transcript, shape), start=1)
    )


def to_vtt(transcript: Transcript, shape: Shape | None = None) -> str:
    """Write WebVTT cues after the `WEBVTT` line; `&`, `<` and `>` are escaped, because a cue's text is markup."""
    lines = (
        f"{_clock(_ms(cue.start), '.')} --> {_clock(_ms(cue.end), '.')}\n{_voice(cue)}{_escape(cue.text)}\n\n"
        for cue in cues(transcript, shape)
    )
    return "WEBVTT\n\n" + "".join(lines)


def to_tsv(transcript: Transcript) -> str:
    """Write the start and end in milliseconds and the text, separated by tabs, after a header line."""
    rows = (f"{_ms(cue.start)}\t{_ms(cue.end)}\t{_label(cue)}{_on_one_line(cue.text)}\n" for cue in cues(transcript))
    return "start\tend\ttext\n" + "".join(rows)


def to_lrc(transcript: Transcript) -> str:
    """Write lyrics: `[minutes:seconds.hundredths]text`; minutes have two digits or as many as they need."""
    lines = []
    for cue in cues(transcript):
        minutes, hundredths = divmod(max(0, round(cue.start * 100)), 6000)
        lines.append(f"[{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}]{_label(cue)}{_on_one_line(cue.text)}\n")
    return "".join(lines)


def to_json(transcript: Transcript) -> str:
    """Write the text, the segments and the language code, under the names of Whisper's own `json` files."""
    segments = [_segment(number, segment) for number, segment in enumerate(transcript.segments)]
    return _dump({"text": transcript.text, "segments": segments, "language": transcript.info.language})


def to_jsonl(transcript: Transcript) -> str:
    """Write one line of JSON for each segment, with the fields of `to_json`."""
    return "".join(f"{_dump(_segment(number, segment))}\n" for number, segment in enumerate(transcript.segments))


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": number,
        "seek": segment.seek,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": segment.tokens,
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }
    if segment.speaker is not None:
        body["speaker"] = segment.speaker
    if segment.channel is not None:
        body["channel"] = segment.channel
    if segment.language is not None:
        body["language"] = segment.language
    if segment.words:
        body["words"] = [
            {"word": w.text, "start": round(w.start, 3), "end": round(w.end, 3), "probability": w.probability} for w in segment.words
        ]
    return body


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _clock(milliseconds: int, point: str) -> str:
    """Write a time as hours:minutes:seconds and three decimals; hours have two digits or as many as they need."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{rest:03d}"


def _label(cue: Cue) -> str:
    return "" if cue.speaker is None else f"[{_on_one_line(cue.speaker)}] "


def _voice(cue: Cue) -> str:
    return "" if cue.speaker is None else f"<v {_escape(_on_one_line(cue.speaker))}>"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _no_arrow(text: str) -> str:
    """Replace arrows in the text, so that no line looks like a line of times."""
    return text.replace("-->", "->")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
