"""Speech probabilities -> the windows that a recognizer decodes. Pure: frames in, spans out, no model.

A span is a stretch of speech. A window is what is decoded in one call: spans that lie near each other, and a little of the silence between
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from open_speech.backends import Vad
from open_speech.transcript import Segment, Word

LONGEST_GAP_S = 6.0
"""A longer silence always ends a window. Speech on both sides of a shorter one is decoded together: words need their context."""
KEPT_GAP_S = 0.8
"""Of a longer silence inside a window only so much is kept, half at each end: decoding silence costs time and invites invented words.

With 2.2 s sentence ends are better (131 wrong ones against 148 in 7536 words), and words no worse; but of 60 clips in which one sentence
is said two to five times, 7 had it too often or too rarely, against 2."""
LEAST_BEFORE, LEAST_AFTER_S = 1 / 3, 3.0
"""Where a full window may be split: not before this share of its longest, and not nearer than so many seconds to its end."""
PAUSE_S, LONG_PAUSE_S = 0.2, 1.5
"""The shortest silence inside a span at which a full window may be split; and a length beyond which no silence is a better place."""
LOOK_FRAMES = 8
"""Whether a window is full is looked at once in so many frames."""
_HYSTERESIS = 0.15
"""Speech that has begun goes on until its probability is this much below the threshold, as in Silero's own code."""
_SNAP_S = 0.1
"""Times within this distance of speech are left as they are."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds from the start of the audio."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Cut:
    """One window: its time in the audio, and the spans of speech in it. What is decoded are its `pieces`, one after the other."""

    start: float
    end: float
    spans: tuple[Span, ...]
    pauses: tuple[Span, ...] = ()
    """Short silences inside the spans."""

    @property
    def pieces(self) -> tuple[Span, ...]:
        """The stretches of audio that are decoded: the whole window without the middle of its long silences."""
        ends = [
            (one.end + KEPT_GAP_S / 2, other.start - KEPT_GAP_S / 2)
            for one, other in zip(self.spans, self.spans[1:], strict=False)
            if other.start - one.end > KEPT_GAP_S
        ]
        edges = [self.start, *(edge for pair in ends for edge in pair), self.end]
        return tuple(Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=True))

    def time(self, decoded_s: float, *, is_end: bool = False) -> float:
        """Return the time in the audio of a time in the decoded pieces. Where two pieces meet, an end belongs to the first of them."""
        passed = 0.0
        pieces = self.pieces
        for piece in pieces:
            left = decoded_s - passed
            if left < piece.seconds or (is_end and left <= piece.seconds):
                return piece.start + max(0.0, left)
            passed += piece.seconds
        return pieces[-1].end

    def speech(self) -> tuple[tuple[float, float], ...]:
        """Return start and end of each stretch of speech between two silences, in seconds from the start of the decoded pieces."""
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
        """Return the samples of the pieces, shape (n,), out of `samples`, which begin at sample `first` of the audio."""
        edges = [(round(piece.start * rate) - first, round(piece.end * rate) - first) for piece in self.pieces]
        return np.concatenate([samples[max(0, start) : max(0, end)] for start, end in edges])


class WindowCutter:
    """Cut a stream of probabilities into windows, each as soon as nothing that follows can change it."""

    def __init__(self, vad: Vad, frame_s: float, *, longest_s: float, gap_s: float = LONGEST_GAP_S) -> None:
        """Each probability stands for `frame_s` seconds; no window is decoded longer than `longest_s`.

        A silence of more than `gap_s` ends a window.
        """
        self._vad = vad
        self._frame_s = frame_s
        self._longest_s = longest_s
        self._gap_s = gap_s
        self._seen = 0
        self._speech: list[float] = []
        """Probabilities since the running span began; empty in silence."""
        self._quiet = 0
        """Frames of silence at the end of the running span."""
        self._pauses: list[Span] = []
        """Short silences inside the spans of the window that is being filled."""
        self._begun = 0
        """Frame at which the running span began."""
        self._spans: list[Span] = []
        """Complete spans of the window that is being filled, padding not yet added."""
        self._last_end = 0.0
        """Where the last window ended, padding included."""

    @property
    def settled_s(self) -> float:
        """Seconds from the start before which no future window begins: audio before it is not needed any more."""
        begun = self._spans[0].start if self._spans else (self._begun if self._speech else self._seen) * self._frame_s
        return max(self._last_end, begun - self._pad_s - self._frame_s)

    def feed(self, probabilities: Iterable[float]) -> list[Cut]:
        """Take the probabilities of the next frames, return the windows that are complete."""
        done: list[Cut] = []
        for probability in probabilities:
            done += self._frame(float(probability))
        gap = self._seen * self._frame_s - self._spans[-1].end if self._spans and not self._speech else 0.0
        return done + (self._close() if gap > self._gap_s + self._pad_s else [])

    def finish(self) -> list[Cut]:
        """Return what is left at the end of the audio."""
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
            far = self._spans and at * self._frame_s - self._spans[-1].end > self._gap_s
            done = self._close(before=at * self._frame_s) if far else []
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
        # A little more than fits is looked at before a window is split, so that its last words are not left alone.
        look = speaking and at % LOOK_FRAMES == 0
        return self._split() if look and self._room_s(self._all_spans()) < -self._least_after_s else []

    @property
    def _least_after_s(self) -> float:
        return min(LEAST_AFTER_S, self._longest_s / 4)

    def _all_spans(self) -> list[Span]:
        """Return the spans of the window that is being filled, with the running one as it is so far."""
        if not self._speech:
            return self._spans
        end = self._begun + len(self._speech) - self._quiet
        return [*self._spans, Span(self._begun * self._frame_s, end * self._frame_s)]

    def _room_s(self, spans: Sequence[Span]) -> float:
        """Return how much a window of these spans still holds, in seconds; below 0 it is too long."""
        return self._longest_s - 2 * self._pad_s - kept_s(spans)

    def _end_of_span(self) -> None:
        spans = self._all_spans()
        self._speech, self._quiet = [], 0
        if spans[-1].seconds * 1000 >= self._vad.min_speech_ms:
            self._spans = spans

    def _split(self) -> list[Cut]:
        """End a window that is too long at its longest silence that leaves enough speech on both sides; what follows stays open."""
        spans = self._all_spans()
        gaps = [Span(one.end, other.start) for one, other in zip(spans, spans[1:], strict=False)]
        fitting = [silence for silence in (*gaps, *self._pauses) if self._fits(_before(silence, spans), _after(silence, spans))]
        if not fitting:
            return self._split_at_quietest(spans)
        # Among silences of about the same length the last: long windows are better understood and cost less.
        best = max(fitting, key=lambda silence: (round(min(silence.seconds, LONG_PAUSE_S), 1), silence.start))
        return self._split_at(best, spans)

    def _fits(self, before: Sequence[Span], after: Sequence[Span]) -> bool:
        """Whether a window may be split so."""
        enough = kept_s(before) >= LEAST_BEFORE * self._longest_s and kept_s(after) >= self._least_after_s
        return enough and self._room_s(before) >= 0

    def _split_at(self, silence: Span, spans: Sequence[Span], *, padded_end: bool = True) -> list[Cut]:
        """End a window at a silence, which may be empty."""
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
        """Split a window that has no silence where one is wanted: at the quietest frame, or in the middle where that is not known."""
        latest = spans[0].start + self._longest_s - 2 * self._pad_s
        place = spans[0].start + self._longest_s / 2
        if self._speech and (begun := self._begun * self._frame_s) < latest:
            first = max(0, round((place - begun) / self._frame_s))
            smooth = np.convolve(self._speech[: round((latest - begun) / self._frame_s)], np.ones(3) / 3, "same")[first:-1]
            place = begun + (first + int(np.argmin(smooth))) * self._frame_s if len(smooth) else latest
        # A quietest frame inside a pause means the pause: neither window begins or ends with a part of it.
        near = self._frame_s / 2
        inside = [pause for pause in self._pauses if pause.start - near <= place <= pause.end + near]
        return self._split_at(inside[0], spans) if inside else self._split_at(Span(place, place), spans, padded_end=False)

    def _close(self, *, before: float | None = None) -> list[Cut]:
        """End the window that is being filled; it becomes two if it is too long."""
        done = self._split() if self._spans and self._room_s(self._spans) < 0 else []
        return done + self._emit(before=before)

    def _emit(self, *, before: float | None = None, padded_end: bool = True) -> list[Cut]:
        """Make a window of the spans, with padding that does not reach into its neighbors."""
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
    """Return how many seconds are decoded of spans and the silences between them."""
    gaps = sum(min(other.start - one.end, KEPT_GAP_S) for one, other in zip(spans, spans[1:], strict=False))
    return sum(span.seconds for span in spans) + gaps


def cuts_of(probabilities: NDArray[np.float32], vad: Vad, frame_s: float, *, longest_s: float) -> list[Cut]:
    """Cut a whole audio: `probabilities` of shape (n,), one for each `frame_s` seconds."""
    cutter = WindowCutter(vad, frame_s, longest_s=longest_s)
    return cutter.feed(probabilities) + cutter.finish()


def placed(segment: Segment, cut: Cut) -> Segment:
    """Move a segment of a window to its time in the whole audio, and draw its ends in to where somebody speaks.

    A recognizer's times reach into the silence around speech; the detector knows better where that begins and ends.
    """
    words = tuple(_shifted(word, cut) for word in segment.words)
    if words:
        start, end = words[0].start, max(words[-1].end, words[0].start)
    else:
        start, end = _drawn_in(cut.time(segment.start), cut.time(segment.end, is_end=True), cut.spans)
    return replace(segment, start=start, end=end, words=words, seek=round(cut.start * 100))


def _before(silence: Span, spans: Sequence[Span]) -> list[Span]:
    return [Span(span.start, min(span.end, silence.start)) for span in spans if span.start < silence.start]


def _after(silence: Span, spans: Sequence[Span]) -> list[Span]:
    return [Span(max(span.start, silence.end), span.end) for span in spans if span.end > silence.end]


def _shifted(word: Word, cut: Cut) -> Word:
    start = cut.time(word.start)
    return replace(word, start=start, end=max(start, cut.time(word.end, is_end=True)))


def _drawn_in(start: float, end: float, spans: tuple[Span, ...]) -> tuple[float, float]:
    heard = [span for span in spans if span.end > start and span.start < end]
    if not heard:
        return start, max(start, end)
    if start < heard[0].start - _SNAP_S:
        start = heard[0].start
    if end > heard[-1].end + _SNAP_S:
        end = heard[-1].end
    return start, max(start, end)
