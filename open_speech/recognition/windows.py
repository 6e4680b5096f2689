"""Speech probabilities -> the windows that a recognizer decodes. Pure: frames in, spans out, no model.

A span is an interval of continuous speech. A window is decoded in one call: it consists of spans near each other, and a little of the
silence between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from open_speech.backends import Vad
from open_speech.transcript import Segment, Word

LONGEST_GAP_S = 6.0
"""Seconds of silence that always end a window. Speech around a shorter silence is decoded together, because words need their context."""
KEPT_GAP_S = 0.8
"""Seconds that are kept of a longer silence inside a window, half at each end: decoding silence costs time and causes hallucinations.

With 2.2 s, sentence ends are better (131 wrong ones against 148 in 7536 words) and words no worse. But of 60 clips that repeat one sentence
two to five times, 7 were transcribed with too many or too few repetitions, against 2."""
LEAST_BEFORE, LEAST_AFTER_S = 1 / 3, 3.0
"""Limits for the split of a full window: the minimum share of the maximum length before it, and the minimum seconds after it."""
PAUSE_S, LONG_PAUSE_S = 0.2, 1.5
"""Seconds of the shortest silence inside a span at which a full window may be split, and the length from which all silences rank equal."""
CHECK_EVERY_FRAMES = 8
"""Frames between two checks whether a window is full."""
_HYSTERESIS = 0.15
"""Speech that has begun continues until its probability is this much below the threshold, as in Silero's own code."""
_SNAP_S = 0.1
"""Seconds: times within this distance of speech are not changed."""


@dataclass(frozen=True, slots=True)
class Span:
    """An interval of time, in seconds from the start of the audio."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The length of the interval in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Cut:
    """One window: its time in the audio, and the spans of speech in it. Its `pieces` are joined and decoded."""

    start: float
    end: float
    spans: tuple[Span, ...]
    pauses: tuple[Span, ...] = ()
    """Short silences inside the spans."""

    @property
    def pieces(self) -> tuple[Span, ...]:
        """The parts of the window that are decoded: all of it but the middle of its long silences."""
        ends = [
            (one.end + KEPT_GAP_S / 2, other.start - KEPT_GAP_S / 2)
            for one, other in zip(self.spans, self.spans[1:], strict=False)
            if other.start - one.end > KEPT_GAP_S
        ]
        edges = [self.start, *(edge for pair in ends for edge in pair), self.end]
        return tuple(Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=True))

    def time(self, decoded_s: float, *, is_end: bool = False) -> float:
        """Map a time in the decoded pieces to a time in the audio. Where two pieces meet, an end belongs to the first piece."""
        passed = 0.0
        pieces = self.pieces
        for piece in pieces:
            offset = decoded_s - passed
            if offset < piece.seconds or (is_end and offset <= piece.seconds):
                return piece.start + max(0.0, offset)
            passed += piece.seconds
        return pieces[-1].end

    def speech(self) -> tuple[tuple[float, float], ...]:
        """Return the start and end of each span of speech between two silences, in seconds from the start of the decoded pieces."""
        stretches = list(self.spans)
        for pause in self.pauses:
            stretches = [*_before(pause, stretches), *_after(pause, stretches)]
        found, passed = [], 0.0
        for piece in self.pieces:
            inside = [span for span in stretches if piece.start < (span.start + span.end) / 2 < piece.end]
            found += [(max(0.0, span.start - piece.start) + passed, span.end - piece.start + passed) for span in inside]
            passed += piece.seconds
        return tuple(found)

    def cut_out(self, samples: NDArray[np.float32], first: int, rate: int) -> NDArray[np.float32]:
        """Return the samples of the pieces, shape (n,). `samples` begin at sample `first` of the audio."""
        edges = [(round(piece.start * rate) - first, round(piece.end * rate) - first) for piece in self.pieces]
        return np.concatenate([samples[max(0, start) : max(0, end)] for start, end in edges])


class WindowCutter:
    """Cuts a stream of probabilities into windows; returns each window as soon as later frames cannot change it."""

    def __init__(self, vad: Vad, frame_s: float, *, longest_s: float, gap_s: float = LONGEST_GAP_S) -> None:
        """Take the seconds per probability (`frame_s`) and the maximum decoded seconds per window (`longest_s`).

        A silence of more than `gap_s` seconds ends a window.
        """
        self._vad = vad
        self._frame_s = frame_s
        self._longest_s = longest_s
        self._gap_s = gap_s
        self._seen = 0
        self._speech: list[float] = []
        """Probabilities since the current span began; empty in silence."""
        self._quiet = 0
        """Frames of silence at the end of the current span."""
        self._pauses: list[Span] = []
        """Short silences inside the spans of the window that is being filled."""
        self._begun = 0
        """Frame at which the current span began."""
        self._spans: list[Span] = []
        """Complete spans of the window that is being filled, padding not yet added."""
        self._last_end = 0.0
        """End of the last window in seconds, padding included."""

    @property
    def settled_s(self) -> float:
        """Time, in seconds, before which no future window begins: earlier audio is no longer needed."""
        begun = self._spans[0].start if self._spans else (self._begun if self._speech else self._seen) * self._frame_s
        return max(self._last_end, begun - self._pad_s - self._frame_s)

    def feed(self, probabilities: Iterable[float]) -> list[Cut]:
        """Take the probabilities of the next frames; return the windows that are complete."""
        done: list[Cut] = []
        for probability in probabilities:
            done += self._frame(float(probability))
        gap = self._seen * self._frame_s - self._spans[-1].end if self._spans and not self._speech else 0.0
        return done + (self._close() if gap > self._gap_s + self._pad_s else [])

    def finish(self) -> list[Cut]:
        """Return the remaining windows at the end of the audio."""
        if self._speech:
            self._end_of_span()
        return self._close()

    @property
    def _pad_s(self) -> float:
        return self._vad.pad_ms / 1000

    def _frame(self, probability: float) -> list[Cut]:
        at = self._seen
        self._seen += 1
        if not self._speech:
            if probability < self._vad.threshold:
                return []
            ends_window = self._spans and at * self._frame_s - self._spans[-1].end > self._gap_s
            done = self._close(before=at * self._frame_s) if ends_window else []
            self._begun, self._quiet, self._speech = at, 0, [probability]
            return done
        self._speech.append(probability)
        speaking = probability >= self._vad.threshold - (_HYSTERESIS if not self._quiet else 0.0)
        if speaking and self._quiet * self._frame_s >= PAUSE_S:
            self._pauses.append(Span((at - self._quiet) * self._frame_s, at * self._frame_s))
        self._quiet = 0 if speaking else self._quiet + 1
        if self._quiet * self._frame_s * 1000 >= self._vad.min_silence_ms:
            self._end_of_span()
            return []
        # A window is split only once it is a little too long, so that the window after it does not consist of a few words.
        check = speaking and at % CHECK_EVERY_FRAMES == 0
        return self._split() if check and self._room_s(self._all_spans()) < -self._least_after_s else []

    @property
    def _least_after_s(self) -> float:
        return min(LEAST_AFTER_S, self._longest_s / 4)

    def _all_spans(self) -> list[Span]:
        """Return the spans of the window that is being filled, including the current one so far."""
        if not self._speech:
            return self._spans
        end = self._begun + len(self._speech) - self._quiet
        return [*self._spans, Span(self._begun * self._frame_s, end * self._frame_s)]

    def _room_s(self, spans: Sequence[Span]) -> float:
        """Return how many more seconds a window of these spans can hold; a negative number if it is too long."""
        return self._longest_s - 2 * self._pad_s - kept_s(spans)

    def _end_of_span(self) -> None:
        spans = self._all_spans()
        self._speech, self._quiet = [], 0
        if spans[-1].seconds * 1000 >= self._vad.min_speech_ms:
            self._spans = spans

    def _split(self) -> list[Cut]:
        """End a window that is too long at its longest silence with enough speech on both sides; the rest starts the next window."""
        spans = self._all_spans()
        gaps = [Span(one.end, other.start) for one, other in zip(spans, spans[1:], strict=False)]
        fitting = [silence for silence in (*gaps, *self._pauses) if self._fits(_before(silence, spans), _after(silence, spans))]
        if not fitting:
            return self._split_at_quietest(spans)
        # Among silences of about the same length, use the last: long windows are recognized better and cost less.
        best = max(fitting, key=lambda silence: (round(min(silence.seconds, LONG_PAUSE_S), 1), silence.start))
        return self._split_at(best, spans)

    def _fits(self, before: Sequence[Span], after: Sequence[Span]) -> bool:
        """Return whether a window may be split into these parts."""
        enough = kept_s(before) >= LEAST_BEFORE * self._longest_s and kept_s(after) >= self._least_after_s
        return enough and self._room_s(before) >= 0

    def _split_at(self, silence: Span, spans: Sequence[Span], *, padded_end: bool = True) -> list[Cut]:
        """End a window at a silence, whose length may be 0."""
        if self._speech and silence.start > self._begun * self._frame_s:
            resumed = round(silence.end / self._frame_s)
            self._begun, self._speech = resumed, self._speech[resumed - self._begun :]
        after = _after(silence, self._spans)
        pauses = [pause for pause in self._pauses if pause.start >= silence.end]
        self._spans = _before(silence, spans)
        self._pauses = [pause for pause in self._pauses if pause.end <= silence.start]
        done = self._emit(before=silence.end, padded_end=padded_end)
        self._spans, self._pauses = after, pauses
        return done

    def _split_at_quietest(self, spans: Sequence[Span]) -> list[Cut]:
        """Split a window without a suitable silence: at the frame with the lowest probability, or in the middle if it is not known."""
        latest = spans[0].start + self._longest_s - 2 * self._pad_s
        place = spans[0].start + self._longest_s / 2
        if self._speech and (begun := self._begun * self._frame_s) < latest:
            first = max(0, round((place - begun) / self._frame_s))
            smooth = np.convolve(self._speech[: round((latest - begun) / self._frame_s)], np.ones(3) / 3, "same")[first:-1]
            place = begun + (first + int(np.argmin(smooth))) * self._frame_s if len(smooth) else latest
        # If the frame is inside a pause, split at the whole pause: neither window begins or ends with a part of it.
        near = self._frame_s / 2
        inside = [pause for pause in self._pauses if pause.start - near <= place <= pause.end + near]
        return self._split_at(inside[0], spans) if inside else self._split_at(Span(place, place), spans, padded_end=False)

    def _close(self, *, before: float | None = None) -> list[Cut]:
        """End the window that is being filled; it is split in two if it is too long."""
        done = self._split() if self._spans and self._room_s(self._spans) < 0 else []
        return done + self._emit(before=before)

    def _emit(self, *, before: float | None = None, padded_end: bool = True) -> list[Cut]:
        """Return a window of the spans, with padding that does not overlap its neighbours."""
        if not self._spans:
            return []
        first, last = self._spans[0].start, self._spans[-1].end
        end = last + self._pad_s if padded_end else last
        if before is not None:
            end = min(end, (last + before) / 2)
        cut = Cut(max(self._last_end, first - self._pad_s, 0.0), end, tuple(self._spans), tuple(self._pauses))
        self._spans, self._pauses, self._last_end = [], [], end
        return [cut]


def kept_s(spans: Sequence[Span]) -> float:
    """Return how many seconds of these spans and the silences between them are decoded."""
    gaps = sum(min(other.start - one.end, KEPT_GAP_S) for one, other in zip(spans, spans[1:], strict=False))
    return sum(span.seconds for span in spans) + gaps


def cuts_of(probabilities: NDArray[np.float32], vad: Vad, frame_s: float, *, longest_s: float) -> list[Cut]:
    """Cut the whole audio: `probabilities` of shape (n,), one for each `frame_s` seconds."""
    cutter = WindowCutter(vad, frame_s, longest_s=longest_s)
    return cutter.feed(probabilities) + cutter.finish()


def placed(segment: Segment, cut: Cut) -> Segment:
    """Shift a segment of a window to its time in the whole audio, and clip its start and end to detected speech.

    A recognizer's times extend into the silence around speech; those of the speech detector are more precise.
    """
    words = tuple(_shifted(word, cut) for word in segment.words)
    if words:
        start, end = words[0].start, max(words[-1].end, words[0].start)
    else:
        start, end = _clipped(cut.time(segment.start), cut.time(segment.end, is_end=True), cut.spans)
    return replace(segment, start=start, end=end, words=words, seek=round(cut.start * 100))


def _before(silence: Span, spans: Sequence[Span]) -> list[Span]:
    return [Span(span.start, min(span.end, silence.start)) for span in spans if span.start < silence.start]


def _after(silence: Span, spans: Sequence[Span]) -> list[Span]:
    return [Span(max(span.start, silence.end), span.end) for span in spans if span.end > silence.end]


def _shifted(word: Word, cut: Cut) -> Word:
    start = cut.time(word.start)
    return replace(word, start=start, end=max(start, cut.time(word.end, is_end=True)))


def _clipped(start: float, end: float, spans: tuple[Span, ...]) -> tuple[float, float]:
    speech = [span for span in spans if span.end > start and span.start < end]
    if not speech:
        return start, max(start, end)
    if start < speech[0].start - _SNAP_S:
        start = speech[0].start
    if end > speech[-1].end + _SNAP_S:
        end = speech[-1].end
    return start, max(start, end)
