import pytest

from open_speech.text.ipa import marked
from runners.support.hibari_g2p import HibariG2P, as_hibari_reads, is_installed

pytest.importorskip("hibari", reason="needs open-speech[hibari]")


@pytest.fixture(scope="module")
def american() -> HibariG2P:
    return HibariG2P(british=False)


@pytest.fixture(scope="module")
def british() -> HibariG2P:
    return HibariG2P(british=True)


def test_it_is_installed() -> None:
    assert is_installed()


def test_only_phonemes_of_the_server_are_phonemes() -> None:
    assert as_hibari_reads(f"[see](/x/) {marked('təmˈɑːɾoʊ')}", british=False) == "[see] (/x/) [word](/təmˈɑTO/)"


@pytest.mark.parametrize(("text", "expected"), [("A B", "ˈA bˈi"), ("A plus B", "ˈA plˈʌs bˈi"), ("A bee", "ɐ bˈi")])
def test_the_letter_a_is_not_the_article(american: HibariG2P, text: str, expected: str) -> None:
    assert american.sentences(text) == [expected]


def test_phonemes_are_those_of_the_word_that_they_write(american: HibariG2P) -> None:
    assert american.sentences(f"I say {marked('pˈi')}.") == american.sentences("I say pea.")


def test_each_sentence_is_a_string(american: HibariG2P) -> None:
    assert american.sentences("Is it Dr. Smith? Go!") == ["ˌɪz ɪt dˈɑktəɹ smˈɪθ?", "ɡˌO!"]


def test_a_sentence_that_ends_in_a_letter_keeps_its_full_stop(american: HibariG2P) -> None:
    assert american.sentences("U S A.") == ["jˈu ˈɛs ˈA."]


def test_the_accents_differ(american: HibariG2P, british: HibariG2P) -> None:
    assert (american.sentences("The car."), british.sentences("The car.")) == (["ðə kˈɑɹ."], ["ðə kˈɑː."])


@pytest.mark.parametrize("word", ["Xanthippe", "Llanfairpwll", "kubectl", "naïve"])
def test_an_unknown_word_has_phonemes(american: HibariG2P, word: str) -> None:
    (found,) = american.sentences(word)
    assert len(found.strip(" .,!?;:ˈˌ")) > len(word) / 3
