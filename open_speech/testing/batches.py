"""Further requirements of a synthesizer that speaks many pieces of text in one call."""

from __future__ import annotations

from typing import ClassVar

import pytest

from open_speech.audio import Audio
from open_speech.backends import BatchSynthesizer, SpeechOptions, Utterance
from open_speech.testing.row import CatalogRow, Row


class BatchSynthesizerConformance(CatalogRow):
    """The tests of `synthesize_batch`, for a backend whose entry has `batch` > 0."""

    texts: ClassVar[tuple[str, ...]] = ("Go on.", "The birch canoe slid on the smooth planks.", "Her purse was full of useless trash.")
    """Texts whose audio has different lengths, from short to long."""

    @pytest.fixture
    def pieces(self, row: Row) -> list[Utterance]:
        """The texts with the default voice."""
        if not row.backend.batch:
            pytest.skip(f"{row.backend.name} takes one piece per call")
        return [Utterance(text, SpeechOptions(row.model.default_voice)) for text in self.texts]

    def test_pieces_come_back_in_order(self, backend: BatchSynthesizer, pieces: list[Utterance], row: Row) -> None:
        """There is one result for each piece, in order: the audio that the piece has when it is spoken alone."""
        together = backend.synthesize_batch(pieces)
        assert len(together) == len(pieces)
        for piece, found in zip(pieces, together, strict=True):
            (alone,) = backend.synthesize_batch([piece])
            assert isinstance(found, Audio)
            assert isinstance(alone, Audio)
            assert found.rate == row.model.sample_rate
            assert found.seconds == pytest.approx(alone.seconds, rel=0.2)

    def test_no_pieces_are_no_results(self, backend: BatchSynthesizer, pieces: list[Utterance]) -> None:
        """An empty call has no results."""
        assert pieces
        assert backend.synthesize_batch([]) == []
