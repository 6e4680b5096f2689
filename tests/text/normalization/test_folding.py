import pytest

from open_speech.text.cleanup import speakable
from open_speech.text.normalization.folding import folded


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("𝐇𝐞𝐥𝐥𝐨 everyone", "Hello everyone"),
        ("Ｈｅｌｌｏ everyone", "Hello everyone"),
        ("𝓱𝓮𝓵𝓵𝓸", "hello"),
        ("𝔥𝔢𝔩𝔩𝔬", "hello"),
        ("ℍ𝕖𝕝𝕝𝕠", "Hello"),
        ("Ⓗⓔⓛⓛⓞ", "Hello"),
        ("🅷🅴🅻🅻🅾", "HELLO"),
        ("ʜᴇʟʟᴏ", "hello"),
        ("ᴴᵉˡˡᵒ", "Hello"),
        ("ﬁne ﬂow oﬃce", "fine flow office"),
        ("h̶e̶l̶l̶o̶", "hello"),
        ("１２３", "123"),
        ("𝟙𝟚", "12"),
        ("Ⅷ", "VIII"),
        ("㎏ and ㎡", "kg and m²"),
        ("￥500 ５％", "¥500 5％"),
        ("1ˢᵗ", "1st"),
    ],
)
def test_letters_in_fancy_dress_become_plain(written: str, plain: str) -> None:
    assert folded(written) == plain


@pytest.mark.parametrize(
    "kept", ["10²", "x³", "½ cup", "1⁄2", "Windows™", "20℃", "№ 5", "H₂O", "5 µm", "naïve café", "今天，很好！", "…", "xⁿ"]
)
def test_what_would_lose_its_meaning_stays(kept: str) -> None:
    assert folded(kept) == kept


def test_numbers_in_circles_stay_apart() -> None:
    assert folded("①②").split() == ["1", "2"]


def test_piles_of_accents_are_cut_and_real_ones_stay() -> None:
    assert folded("e" + "\u0301" * 40) == "e" + "\u0301" * 3
    assert folded("ế ộ") == "ế ộ"


def test_a_text_is_spoken_in_plain_letters() -> None:
    assert speakable("𝐇𝐞𝐥𝐥𝐨, Ｗｏｒｌｄ™ ½") == "Hello, World™ ½"


def test_what_is_folded_stays_as_it_is() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert [hex(ord(char)) for char in every if folded(folded(char)) != folded(char)] == []
