from __future__ import annotations

from pathlib import Path

from open_speech.api.jobs import checkpoints
from open_speech.api.jobs.checkpoints import Checkpoint
from open_speech.transcript import Segment, Token, TranscriptInfo, Word

GREETING = Segment(0.5, 12.0, " Grüße.", (Word(" Grüße.", 0.5, 12.0, 0.8),), logprobs=(Token("x", -0.1),))
FIRST = Checkpoint(TranscriptInfo("de", 0.9, 12.5), (GREETING,))
SECOND = Checkpoint(TranscriptInfo("de", 0.9, 20.0), (Segment(13.0, 14.0, " Eins.\nZwei."), Segment(15.0, 19.0, " Drei.")))


def test_what_was_kept_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    assert checkpoints.read(path) == []
    checkpoints.add(path, FIRST)
    checkpoints.add(path, SECOND)
    assert checkpoints.read(path) == [FIRST, SECOND]
    checkpoints.forget(path)
    checkpoints.forget(path)
    assert checkpoints.read(path) == []


def test_a_line_that_was_cut_short_anywhere_is_heard_again_and_spoils_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    checkpoints.add(path, FIRST)
    whole = path.read_bytes()
    checkpoints.add(path, SECOND)
    both = path.read_bytes()
    for end in (len(whole), len(whole) + 1, len(both) - 10, len(both) - 1):
        path.write_bytes(both[:end])
        assert checkpoints.read(path) == [FIRST]
        checkpoints.add(path, SECOND)
        assert checkpoints.read(path) == [FIRST, SECOND]


def test_a_damaged_line_ends_what_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    checkpoints.add(path, FIRST)
    checkpoints.add(path, SECOND)
    path.write_bytes(path.read_bytes().replace(b'"de"', b"\0\0\0\0", 1))
    assert checkpoints.read(path) == []
