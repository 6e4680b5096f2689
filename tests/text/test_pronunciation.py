import asyncio
import logging
import os
from pathlib import Path

import pytest

from open_speech.text.ipa import marked
from open_speech.text.pronunciation import Pronunciation, PronunciationError, Rules, read
from tests.growth import assert_costs_at_most

DICTIONARY = r"""
words:
  SQL: sequel
  nginx: engine x
  Los Gatos: lows gattos
  Nguyen: {ipa: "wɪn", say: win}
  gif: {ipa: "dʒɪf"}
  2FA: two factor
patterns:
  - {match: '\bv(\d+)\b', say: 'version \1'}
languages:
  de: {words: {SQL: Es-Ku-El}}
  en-GB: {words: {zebra: zebbra}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "words.yaml", DICTIONARY)


def written(path: Path, text: str, *, age_s: float = 0.0) -> Path:
    path.write_text(text, encoding="utf-8")
    written = path.stat().st_mtime - age_s
    os.utime(path, (written, written))
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Use SQL, not sql.", "Use sequel, not sql."),
        ("nginx, Nginx and NGINX", "engine x, engine x and engine x"),
        ("nginxes and SQLite", "nginxes and SQLite"),
        ("in Los Gatos with 2FA", "in lows gattos with two factor"),
        ("v12 but not v1a", "version 12 but not v1a"),
        ("Nguyen sent a gif", "win sent a gif"),
    ],
)
def test_words_and_patterns_are_replaced(path: Path, text: str, said: str) -> None:
    assert read(path).rewrite(text, "en-US", phonemes=False) == said


def test_an_engine_that_takes_phonemes_gets_them(path: Path) -> None:
    assert read(path).rewrite("Nguyen: a gif", "en-US", phonemes=True) == f"{marked('wɪn')}: a {marked('dʒɪf')}"


def test_an_entry_of_the_language_goes_before_a_general_one(path: Path) -> None:
    rules = read(path)
    assert rules.rewrite("SQL zebra", "de-AT", phonemes=False) == "Es-Ku-El zebra"
    assert rules.rewrite("SQL zebra", "en_gb", phonemes=False) == "sequel zebbra"
    assert rules.rewrite("SQL zebra", "", phonemes=False) == "sequel zebra"


def test_phonemes_that_stand_in_a_text_are_not_rewritten(path: Path) -> None:
    text = f"{marked('SQL')} SQL"
    assert read(path).rewrite(text, "en", phonemes=True) == f"{marked('SQL')} sequel"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("words: [a]", "words"),
        ("words: {a: {}}", "words.a"),
        ("words: {a: {ipa: ''}}", "words.a.ipa"),
        ("words: {1: b}", "words.1"),
        ("wrods: {}", "wrods"),
        ("languages: {de: {words: {x: true}}}", "languages.de.words.x"),
        ("patterns: [{match: a, say: b}, {match: '('}]", "patterns.1"),
        ("patterns: [{match: '(', say: b}]", "patterns.0"),
        (r"patterns: [{match: a, say: '\2'}]", "patterns.0"),
        ("patterns: [{match: 'a*', say: b}]", "patterns.0"),
        (r"patterns: [{match: '(\w+\s?)+$', say: b}]", "patterns.0"),
        ("just text", ""),
        ("{", "not YAML"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(PronunciationError, match=r"TTS_PRONUNCIATION_DICT: .*words\.yaml") as wrong:
        read(written(tmp_path / "words.yaml", text))
    assert place in str(wrong.value)


def test_a_file_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(PronunciationError, match="No such file"):
        Pronunciation(tmp_path / "none.yaml")


def test_an_empty_file_has_no_entries(tmp_path: Path) -> None:
    assert read(written(tmp_path / "words.yaml", "")).rewrite("SQL", "en", phonemes=False) == "SQL"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_change_is_seen_within_a_second_and_a_broken_one_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(path, DICTIONARY, age_s=60)
    clock = Clock()
    dictionary = Pronunciation(path, clock=clock)

    def said() -> str:
        return asyncio.run(dictionary.rules()).rewrite("SQL", "en", phonemes=False)

    written(path, "words: {SQL: squeal}", age_s=40)
    assert said() == "sequel"
    clock.now += 1.5
    assert said() == "squeal"
    written(path, "words: [", age_s=20)
    clock.now += 1.5
    with caplog.at_level(logging.WARNING):
        assert said() == "squeal"
    assert "not YAML" in caplog.text
    path.unlink()
    clock.now += 1.5
    assert said() == "squeal"


def test_no_file_has_no_entries() -> None:
    assert asyncio.run(Pronunciation().rules()).rewrite("SQL", "en", phonemes=True) == "SQL"


def test_a_pattern_that_meets_its_nasty_text_is_left_out_in_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = read(written(tmp_path / "words.yaml", r"patterns: [{match: 'q(?:x|xx)+(?:x|xx)+y', say: b}]"))
    text = "q" + "x" * 3000
    assert rules.rewrite(text, "en", phonemes=False) == text
    assert "takes too long" in caplog.text


def test_ten_thousand_words_are_found_in_one_pass(tmp_path: Path) -> None:
    def dictionary(words: int) -> Rules:
        return read(written(tmp_path / f"{words}.yaml", "words:\n" + "".join(f"  word{n}: said {n}\n" for n in range(words))))

    large, small = dictionary(10_000), dictionary(100)
    text = "word1 and word9999 and word10001"
    assert large.rewrite(text, "en", phonemes=False) == "said 1 and said 9999 and word10001"
    assert small.rewrite(text, "en", phonemes=False) == "said 1 and word9999 and word10001"
    # One pass looks the words up in a set. A pass per word would take a hundred times as long.
    assert_costs_at_most(5, lambda: large.rewrite(text, "en", phonemes=False), lambda: small.rewrite(text, "en", phonemes=False))


@pytest.mark.parametrize(
    "text", ["SQL: sequel\nnginx: engine x\n911: nine one one", '{"SQL": "sequel", "nginx": "engine x", "911": "nine one one"}']
)
def test_a_file_may_hold_words_alone(tmp_path: Path, text: str) -> None:
    rules = read(written(tmp_path / "words", text.replace("\n911", '\n"911"')))
    assert rules.rewrite("NGINX or SQL, not sql: 911", "en", phonemes=False) == "engine x or sequel, not sql: nine one one"


def test_words_of_a_flat_file_may_have_the_names_of_sections(tmp_path: Path) -> None:
    rules = read(written(tmp_path / "words", "words: werdz\npatterns: patternz"))
    assert rules.rewrite("words and patterns", "en", phonemes=False) == "werdz and patternz"


def test_a_misspelled_section_is_no_flat_file(tmp_path: Path) -> None:
    with pytest.raises(PronunciationError, match="wrods"):
        read(written(tmp_path / "words", "wrods: {SQL: sequel}\nnginx: engine x"))


def test_a_word_of_a_flat_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(PronunciationError, match=r"words\.1"):
        read(written(tmp_path / "words", "1: one\nSQL: sequel"))
