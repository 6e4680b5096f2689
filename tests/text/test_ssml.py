import logging
from collections.abc import Callable
from contextlib import suppress

import pytest

from open_speech.errors import InvalidRequest
from open_speech.text.cleanup import speakable
from open_speech.text.ipa import marked
from open_speech.text.ssml import is_ssml, steps_of
from open_speech.text.steps import LONGEST_PAUSE_S, Mark, Pause, Say, Step
from tests.growth import assert_costs_at_most, assert_linear

HEAD = '<?xml version="1.0"?>\n<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">'


def text_of(steps: list[Step]) -> str:
    return speakable("".join(step.text for step in steps if isinstance(step, Say)))


def spoken(content: str, *, phonemes: bool = False) -> list[Step]:
    return steps_of(f"<speak>{content}</speak>", phonemes=phonemes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        # Of each section of W3C's recommendation one document of the same shape, and what it says is spoken.
        ("<p><s>The list has five names</s><s>The first is Ann's.</s></p>", "The list has five names. The first is Ann's."),
        ("<p>One line</p><p>Another</p>", "One line. Another"),
        ("<token>Mallard</token> ducks <w>in</w> flight", "Mallard ducks in flight"),
        ("<lookup ref='x'>pasta</lookup><lexicon uri='y' xml:id='x'/>", "pasta"),
        ("Take <sub alias='the north road'>N. Rd.</sub> home.", "Take the north road home."),
        ("Meet on <say-as interpret-as='date' format='mdy'>2/1/2026</say-as>.", "Meet on February first, twenty twenty-six."),
        ("the <say-as interpret-as='ordinal'>21</say-as> at <say-as interpret-as='time'>9:30</say-as>", "the twenty-first at nine thirty"),
        ("<say-as interpret-as='characters'>ABC</say-as> 5", "A, B, C 5"),
        ("Call <say-as interpret-as='telephone'>555 0199</say-as>", "Call five five five, zero one nine nine"),
        ("<say-as interpret-as='unheard-of'>as it is</say-as>", "as it is"),
        ("She <emphasis level='strong'>will</emphasis> come", "She will come"),
        ("<audio src='bell.wav'>a bell<desc>rings in the dark</desc></audio> sounds", "a bell sounds"),
        ("<metadata><dc:title xmlns:dc='d'>unheard</dc:title></metadata><meta name='a' content='b'/>heard", "heard"),
        ("<phoneme alphabet='ipa' ph='təˈmɑːtəʊ'>tomato</phoneme>", "tomato"),
        ("<amazon:effect name='whispered'>still <b>here</b></amazon:effect>", "still here"),
        ("fish &amp; chips &lt;3", "fish & chips <3"),
        ("<![CDATA[<break/> is a tag]]>", "<break/> is a tag"),
    ],
)
def test_a_document_is_spoken_as_the_recommendation_says(content: str, said: str) -> None:
    assert text_of(steps_of(f"{HEAD}{content}</speak>", phonemes=False)) == said


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [("", 0.4), ("time='500ms'", 0.5), ("time='1.5s'", 1.5), ("time='+2 s'", 2.0), ("time='900s'", LONGEST_PAUSE_S)],
)
def test_a_break_is_a_pause(attributes: str, seconds: float) -> None:
    assert spoken(f"a<break {attributes}/>b") == [Say("a"), Pause(seconds), Say("b")]


@pytest.mark.parametrize("attributes", ["strength='none'", "time='0s'", "time='long'", "strength='odd'"])
def test_a_break_of_no_length_is_none(attributes: str) -> None:
    assert spoken(f"a<break {attributes}/>b") == [Say("ab")]


@pytest.mark.parametrize(
    ("attributes", "speed", "volume"),
    [("rate='slow'", 0.75, 0), ("rate='150%'", 1.5, 0), ("rate='+20%'", 1.2, 0), ("rate='-20%'", 0.8, 0), ("rate='0.5'", 0.5, 0),
     ("rate='9999%'", 4.0, 0), ("rate='odd'", 1, 0), ("volume='soft'", 1, -6), ("volume='+6dB'", 1, 6), ("volume='+99dB'", 1, 12),
     ("pitch='high'", 1, 0), ("rate='fast' volume='loud'", 1.25, 4)],
)  # fmt: skip
def test_prosody_changes_speed_and_volume(attributes: str, speed: float, volume: float) -> None:
    (step,) = spoken(f"<prosody {attributes}>a</prosody>")
    assert isinstance(step, Say)
    assert step.speed == pytest.approx(speed)
    assert step.volume_db == pytest.approx(volume)


def test_prosody_within_prosody_is_a_product() -> None:
    (step,) = spoken("<prosody rate='50%'><prosody rate='50%' volume='-3dB'>a</prosody></prosody>")
    assert step == Say("a", speed=0.25, volume_db=-3.0)


def test_a_sentence_is_stressed_and_a_word_within_one_is_not_cut_out() -> None:
    assert spoken("One. <emphasis>Two.</emphasis>") == [Say("One. "), Say("Two.", speed=0.95, volume_db=2.0)]
    assert spoken("One <emphasis>two</emphasis> three.") == [Say("One two three.")]


def test_voices_and_languages_hold_for_what_is_inside() -> None:
    assert spoken("a<voice name='bob ann'>b<lang xml:lang='fr'>c</lang></voice>d") == [
        Say("a"), Say("b", "bob"), Say("c", "bob", language="fr"), Say("d")
    ]  # fmt: skip


def test_a_mark_is_a_place() -> None:
    assert spoken("Go from <mark name='here'/>here.") == [Say("Go from "), Mark("here"), Say("here.")]


def test_phonemes_go_to_engines_that_take_them() -> None:
    assert spoken("a <phoneme ph='b c'>d</phoneme>", phonemes=True) == [Say(f"a {marked('b c')}")]
    assert spoken("a <phoneme alphabet='x-sampa' ph='b'>d</phoneme>", phonemes=True) == [Say("a d")]
    assert spoken("a <phoneme ph=''>d</phoneme>", phonemes=True) == [Say("a d")]


def test_what_is_read_in_another_language_is_not_put_into_english_words() -> None:
    ssml = "<speak><say-as interpret-as='cardinal'>12</say-as></speak>"
    assert text_of(steps_of(ssml, phonemes=False, language="de-DE")) == "12"


def test_white_space_is_one_space() -> None:
    assert text_of(spoken("\n  a\n\n  b <s> c </s>")) == "a b. c"


def test_a_text_without_the_outer_tag_is_taken_as_its_content() -> None:
    assert steps_of("a <break time='1s'/> b", phonemes=False) == [Say("a "), Pause(1.0), Say(" b")]


def test_what_is_left_out_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "open_speech.ssml"):
        spoken("<prosody pitch='high'><blink>a</blink></prosody>")
    assert "<blink>, pitch of prosody" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["<speak>a</speak>", " \n<speak/>", f"{HEAD}</speak>", "<!-- a --><speak>", "<s:speak>", "\ufeff<speak>", "<!DOCTYPE speak>"],
)
def test_ssml_is_told_by_its_first_tag(text: str) -> None:
    assert is_ssml(text)


@pytest.mark.parametrize("text", ["speak", "<speaker>", "see <speak>", "<!DOCTYPE html>", "", "< speak>"])
def test_other_text_is_no_ssml(text: str) -> None:
    assert not is_ssml(text)


def bomb(levels: int) -> str:
    """A document of ten to the power of `levels` words, once its entities are expanded."""
    entities = "".join(f"<!ENTITY a{n} '{f'&a{n - 1 if n else str()};' * 10}'>" for n in range(levels))
    return f"<!DOCTYPE speak [<!ENTITY a 'ha'>{entities}]><speak>&a{levels - 1};</speak>"


HOSTILE = {
    "entity bomb": bomb(9),
    "external entity": "<!DOCTYPE speak [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><speak>&x;</speak>",
    "external document type": "<!DOCTYPE speak SYSTEM 'http://127.0.0.1:9/x.dtd'><speak>a</speak>",
    "unknown entity": "<speak>&nbsp;</speak>",
    "unclosed": "<speak>a",
    "control character": "<speak>\x01</speak>",
}
GROWING: dict[str, Callable[[int], str]] = {
    "tags": lambda chars: "<speak>" + "<p></p>" * (chars // 7) + "</speak>",
    "depth": lambda chars: "<speak>" + "<p>" * (chars // 3),
    "one tag": lambda chars: "<speak a='" + "b" * chars,
    "attributes": lambda chars: "<speak " + " ".join(f"a{n}='1'" for n in range(chars // 12)),
    "half a comment": lambda chars: "<!--" * (chars // 4),
    "blank": lambda chars: " " * chars + "<speak",
}
"""Documents of about so many characters that are refused at a million."""


def read(document: str) -> None:
    is_ssml(document)
    steps_of(document, phonemes=True)


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_document_is_refused(document: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(document)
    assert refused.value.param == "input"


@pytest.mark.parametrize("document", GROWING.values(), ids=GROWING.keys())
def test_a_hostile_document_of_any_size_is_read_in_linear_time(document: Callable[[int], str]) -> None:
    def tried(document: str) -> None:
        with suppress(InvalidRequest):
            read(document)

    with pytest.raises(InvalidRequest) as refused:
        read(document(1_000_000))
    assert refused.value.param == "input"
    assert_linear(tried, document, 20_000)


def test_the_entities_of_a_bomb_are_not_expanded() -> None:
    def tried(document: str) -> None:
        with suppress(InvalidRequest):
            read(document)

    large, small = bomb(9), bomb(2)
    assert_costs_at_most(20, lambda: tried(large), lambda: tried(small))


@pytest.mark.parametrize("part", ["word &amp; ", "<break/>a", "b"])
def test_a_text_of_any_length_is_read_in_linear_time(part: str) -> None:
    assert len(text_of(spoken("word &amp; " * 10_000))) > 50_000
    assert_linear(spoken, lambda chars: part * (chars // len(part)), 8000)
