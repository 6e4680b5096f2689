import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.text.cleanup import speakable
from open_speech.text.normalization.markup import Markup, without_markup
from tests.growth import assert_linear

TEXTS = [
    ("<p>Hello <b>world</b></p><p>Again</p>", "Hello world. Again"),
    ("<h1>Title</h1>Text", "Title. Text"),
    ("<ul><li>one<li>two</ul>", "one. two"),
    ("One<br>Two<br/>Three", "One. Two. Three"),
    ("<div class='x'>one</div>two", "one. two"),
    ('<a href="https://x.org/?a=1&b=2" target=_blank>link</a>', "link"),
    ('<img src=cat.png alt="a cat"> sat', "a cat sat"),
    ("<table><tr><td>A</td><td>B</td></tr></table>", "A, B,"),
    ("<script>alert('x < y')</script>Hi<style>p{}</style> there", "Hi there"),
    ("<head><title>T</title></head><body>Text</body>", "Text"),
    ("<!DOCTYPE html><!-- a comment -->done", "done"),
    ("Tom &amp; Jerry", "Tom & Jerry"),
    ("5 &lt; 6 &#233; &#xe9; &euro;5&nbsp;off", "5 < 6 é é €5 off"),
    ("10<sup>2</sup> and H<sub>2</sub>O", "10² and H₂O"),
    ("the 5<sup>th</sup>", "the 5th"),
    ("see <https://example.org> or <joe@x.org>", "see https://example.org or joe@x.org"),
    ("<EM>loud</EM> <input disabled>", "loud"),
]
PLAIN = [
    "x < 3 and y > 5", "a<b", "if a<b then stop", "a<b and c>d", "I <3 you", "5 < 6 > 4", "AT&T and R&D", "<unknown>x</unknown>",
    "a & b; c", "vector<int> and map<string>", "-> and <-", "1 << 2", "&notanentity;",
]  # fmt: skip


@pytest.mark.parametrize(("written", "said"), TEXTS)
def test_html_is_not_read_out(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize("plain", PLAIN)
def test_what_is_no_html_stays_text(plain: str) -> None:
    assert without_markup(plain) == plain


def test_a_tag_between_backticks_is_text() -> None:
    assert without_markup("Use `<b>` here") == "Use `<b>` here"


@pytest.mark.parametrize("text", [written for written, _ in TEXTS] + PLAIN)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_html_that_arrives_in_chunks_is_read_as_the_whole_is(text: str, length: int) -> None:
    markup = Markup()
    read = "".join(markup.feed(text[at : at + length]) for at in range(0, len(text), length)) + markup.finish()
    assert read == without_markup(text)


def test_text_after_a_sign_that_opens_no_tag_does_not_wait() -> None:
    markup = Markup()
    read = "".join(markup.feed(char) for char in "if a<b then we go on")
    assert read == "if a<b then we go on"


@given(st.text(st.characters(exclude_characters="<>&`"), max_size=200))
def test_text_without_signs_of_html_stays(text: str) -> None:
    assert without_markup(text) == text


@pytest.mark.parametrize("nasty", ["<", "<a", "<a ", "<a b=", '<a b="', "<!--", "&", "&a", "`", "<b>", "<script>", "</", "<a b='c' "])
def test_any_text_is_read_in_linear_time(nasty: str) -> None:
    def in_chunks(text: str) -> None:
        markup = Markup()
        for at in range(0, len(text), 1000):
            markup.feed(text[at : at + 1000])
        markup.finish()

    assert_linear(in_chunks, lambda chars: (nasty * chars)[:chars], 3_000)
