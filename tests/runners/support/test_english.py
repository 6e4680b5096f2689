import pytest

from runners.support.english import kokoro_signs, with_letter_a


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A T and T", "eh T and T"), ("A plus B", "eh plus B"), ("A is less than B", "eh is less than B"), ("A squared", "eh squared"),
        ("S W one A, one A A", "S W one A, one eh A"), ("A dog is here", "A dog is here"), ("A is for apple", "A is for apple"),
        ("Plan A works", "Plan A works"),
    ],
)  # fmt: skip
def test_the_letter_a_is_said_by_its_name_where_it_is_no_article(text: str, read: str) -> None:
    assert with_letter_a(text) == read


@pytest.mark.parametrize(("language", "expected"), [("en-us", "tʃ təmATO hɜɹ"), ("en-gb", "tʃ təmAɾO hɜːɹ"), ("fr-fr", "tʃ təmeɪɾoʊ hɜːɹ")])
def test_phonemes_get_the_signs_of_the_accent(language: str, expected: str) -> None:
    assert kokoro_signs("tʃ təmeɪɾoʊ hɜːɹ", language) == expected.replace("tʃ", "tʃ" if language == "fr-fr" else "ʧ")
