"""Words that are hard to read, as the server passes them to Kokoro. docs/engines.md judges the differences of the two converters."""

from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.text.spoken_form import spoken
from runners.support.g2p import G2P, Converter
from runners.support.kokoro_config import known

LINES = (Path(__file__).parents[2] / "data" / "hard_words.txt").read_text(encoding="utf-8").splitlines()
WORDS = [line for line in LINES if line and line[0] not in "#["]
ACCENTS = ("en-us", "en-gb")


def test_there_are_two_hundred_words_and_none_twice() -> None:
    assert len(WORDS) == len(set(WORDS)) >= 200


@pytest.mark.parametrize(("converter", "package"), [("espeak", "phonemizer"), ("hibari", "hibari")])
@pytest.mark.parametrize("accent", ACCENTS)
def test_every_word_has_phonemes_and_a_stress_that_the_model_knows(converter: Converter, package: str, accent: str) -> None:
    pytest.importorskip(package)
    g2p = G2P(converter)
    read = {word: known(g2p.phonemes(spoken(word, "en"), accent)) for word in WORDS}
    letters = {word: sum(sign.isalpha() for sign in phonemes) for word, phonemes in read.items()}
    assert [word for word, count in letters.items() if count < 2 or count < len(word) / 4] == []
    # espeak-ng leaves out the stress of `am`, which it makes of `a.m.`
    assert [word for word, phonemes in read.items() if not set("ˈˌ") & set(phonemes) and word != "a.m."] == []


@pytest.mark.parametrize(
    ("word", "phonemes"),
    [
        ("democracy", "dəmˈɑkɹəsi"), ("Tucson", "tˈusˌɑn"), ("victuals", "vˈɪTᵊlz"), ("vs.", "vˈɜɹsəs."), ("a.m.", "ˌAˈɛm."),
        ("He will record a record.", "hˌi wɪl ɹəkˈɔɹd ɐ ɹˈɛkəɹd."), ("They present a present.", "ðˌA pɹizˈɛnt ɐ pɹˈɛzᵊnt."),
        ("Close the door that is close.", "klˈOz ðə dˈɔɹ ðæt ɪz klˈOs."),
    ],
)  # fmt: skip
def test_hibari_sets_the_stress_by_the_word_and_by_its_part_of_speech(word: str, phonemes: str) -> None:
    pytest.importorskip("hibari")
    assert G2P("hibari").phonemes(spoken(word, "en"), "en-us") == phonemes
