import pytest

from open_speech.recognition.hallucinations import PHRASES, is_hallucination, plain
from open_speech.transcript import Segment


def said(text: str, *, no_speech: float = 0.0, logprob: float = -0.2) -> Segment:
    return Segment(0, 1, text, no_speech_prob=no_speech, avg_logprob=logprob)


@pytest.mark.parametrize("text", [" Thank you.", " Thanks for watching!", "thank you", " Subtitles by the Amara.org community"])
def test_a_closing_phrase_that_the_decoder_doubts_is_dropped(text: str) -> None:
    assert is_hallucination(said(text, no_speech=0.8), "en")
    assert is_hallucination(said(text, logprob=-1.1), "en")


def test_people_do_say_thank_you() -> None:
    assert not is_hallucination(said(" Thank you."), "en")
    assert not is_hallucination(said(" Thanks!", no_speech=0.1, logprob=-0.8), "en"), "a lone word has no higher log-probability"


def test_what_only_begins_like_a_phantom_is_kept() -> None:
    assert not is_hallucination(said(" Thank you for the flowers.", no_speech=0.9), "en")


def test_a_phrase_is_one_of_its_own_language() -> None:
    assert is_hallucination(said("ご視聴ありがとうございました。", no_speech=0.9), "ja")
    assert not is_hallucination(said("ご視聴ありがとうございました。", no_speech=0.9), "en")


def test_every_phrase_is_written_as_it_is_compared() -> None:
    assert [phrase for phrases in PHRASES.values() for phrase in phrases if plain(phrase) != phrase] == []
