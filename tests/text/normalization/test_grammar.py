import re

import pytest

from open_speech.text.normalization.grammar import Grammar, SpokenForm, describes, first_of, matching, stop_of, word_before

NUMBER = matching(r"\d+", lambda found: f"<{found[0]}>")
NEVER = matching(r"\d+", lambda found: None)


def test_the_first_rule_that_reads_a_place_is_applied_and_the_rest_stays() -> None:
    pair = matching(r"\d+-\d+", lambda found: "<pair>")
    grammar = Grammar(digits=(NEVER, pair, NUMBER), letters=(), signs=())
    assert grammar.rewrite("a 1-2, b3 4.") == "a <pair>, b3 <4>."


def test_rules_are_chosen_by_the_kind_of_character_at_a_place() -> None:
    word = matching(r"x\w*", lambda found: "word")
    sign = matching(r"\+", lambda found: "plus")
    assert Grammar(digits=(NUMBER,), letters=(word,), signs=(sign,)).rewrite("xyz 7 + q") == "word <7> plus q"


def test_words_do_not_run_together_with_what_is_next_to_them() -> None:
    grammar = Grammar(digits=(matching(r"\d+", lambda found: "five"),), letters=(), signs=())
    assert grammar.rewrite("5apples (5) 5-day x5") == "five apples (five) five-day x5"


def test_first_of_takes_the_first_that_reads() -> None:
    assert first_of(NEVER, NUMBER)("12", 0) == SpokenForm("<12>", 2)
    assert first_of(NEVER)("12", 0) is None


@pytest.mark.parametrize(
    ("text", "word"), [("in 5", "in"), ("(since, 5", "since"), ("Jan. 5", "Jan"), ("5", ""), ("a - 5", ""), ("no: 5", "")]
)
def test_the_word_before_a_place_is_found(text: str, word: str) -> None:
    assert word_before(text, text.index("5")) == word


def test_a_form_between_an_article_and_a_noun_describes_it() -> None:
    assert describes("a 90° turn", 2, 5)
    assert not describes("the 90° turn", 4, 7)
    assert not describes("a 90°.", 2, 5)


def test_the_full_stop_of_an_abbreviation_is_kept_at_the_end_of_the_sentence() -> None:
    stops = [stop_of(found) for text in ("etc.", "etc. and") if (found := re.match(r"etc\.", text))]
    assert stops == [".", ""]
