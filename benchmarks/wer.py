"""Word errors, sentence ends and cost for speech with pauses, noise and hesitations, compared with the raw library in the same run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks import peers, stt, wer_corpus
from benchmarks.clips import model_folder
from benchmarks.corpus import Clip
from benchmarks.peers import Contender
from benchmarks.stt_report import Cost
from benchmarks.wer_report import Row, Score, score, table

RESULTS = Path(__file__).parent / "results" / "wer.md"
QUICK_STEP = 3
"""With `quick`, only every third clip is measured."""


def run(corpora: Sequence[Path], *, quick: bool, fresh: bool, save: bool) -> int:
    """Measure and print both halves; return 1 if a cell has more word errors than the library, or a text differs the second time.

    The library is measured once for each clip and its results are stored on disk; `fresh` measures it again.
    """
    failed = 0
    reports = []
    bases = wer_corpus.bases(corpora)
    with ExitStack() as stack:
        ours = stack.enter_context(stt.our_server())
        library = CachedLibrary(stack.enter_context(peers.library("faster-whisper", "sequential", model_folder(stt.MODEL))), fresh=fresh)
        for held_out in (False, True):
            half = [base for base in bases if base.held_out is held_out]
            rows = [measure(cell, half[:: QUICK_STEP if quick else 1], ours, library) for cell in wer_corpus.cells()]
            failed |= any(row.ours.errors > row.library.errors or row.unlike for row in rows)
            title = "Held out: no constant was chosen by these clips" if held_out else "Clips that constants were chosen by"
            reports.append(f"{title}\n\n{table(rows)}")
            print(reports[-1], flush=True)
    if save:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text("\n\n".join(reports) + "\n", encoding="utf-8")
    return int(failed)


class CachedLibrary:
    """The library, with its text and cost for each clip stored on disk."""

    def __init__(self, library: Contender, *, fresh: bool) -> None:
        """`fresh` ignores stored results."""
        self._library = library
        self._path = wer_corpus.folder() / "library.json"
        self._known: dict[str, tuple[str, dict[str, float]]] = {}
        self._warm = False
        if self._path.is_file() and not fresh:
            self._known = json.loads(self._path.read_text(encoding="utf-8"))

    def timed(self, clip: Clip) -> tuple[str, Cost]:
        """Return the library's text of a clip and its cost."""
        if clip.path.name not in self._known:
            if not self._warm:
                self._library.transcribe(clip)  # loads the model
                self._warm = True
            text, cost = stt.timed(self._library, clip)
            self._known[clip.path.name] = text, asdict(cost)
            self._path.write_text(json.dumps(self._known), encoding="utf-8")
        text, seconds = self._known[clip.path.name]
        return text, Cost(**seconds)


def measure(cell: wer_corpus.Cell, bases: Sequence[wer_corpus.Base], ours: Contender, library: CachedLibrary) -> Row:
    """Transcribe every clip of a cell twice with this server and once with the library."""
    clips = wer_corpus.clips(cell, bases)
    mine, theirs, unlike = Score(), Score(), 0
    costs: list[tuple[Cost, Cost]] = []
    for clip in clips:
        text, cost = stt.timed(ours, clip)
        unlike += ours.transcribe(clip) != text
        other, other_cost = library.timed(clip)
        mine, theirs = mine + score(clip.text, text), theirs + score(clip.text, other)
        costs.append((cost, other_cost))
    cpu = sum(one.cpu for one, _ in costs), sum(other.cpu for _, other in costs)
    wall = sum(one.wall for one, _ in costs), sum(other.wall for _, other in costs)
    print(f"... {cell.name}: {mine.errors} / {theirs.errors} errors of {mine.words} words", flush=True)
    return Row(cell.name, len(clips), sum(clip.seconds for clip in clips), mine, theirs, cpu, wall, unlike)
