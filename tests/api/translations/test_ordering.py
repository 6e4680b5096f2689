"""Texts of utterances, in the order of the utterances."""

from __future__ import annotations

from open_speech.api.translations.ordering import InOrder


def test_the_text_of_a_later_utterance_waits_for_the_one_before_it() -> None:
    texts = InOrder()
    texts.begin(1)
    texts.begin(2)
    assert list(texts.delta(1, "a")) == [(1, "a")]
    assert list(texts.delta(2, "c")) == []
    assert list(texts.done(2)) == []
    assert list(texts.delta(1, "b")) == [(1, "b")]
    assert len(texts) == 2
    assert list(texts.done(1)) == [(1, None), (2, "c"), (2, None)]
    assert len(texts) == 0


def test_text_of_an_utterance_that_has_ended_is_dropped() -> None:
    texts = InOrder()
    texts.begin(1)
    assert list(texts.done(1)) == [(1, None)]
    assert list(texts.delta(1, "late")) == []
