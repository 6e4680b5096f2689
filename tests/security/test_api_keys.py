from __future__ import annotations

import pytest

from open_speech.security.api_keys import KeyRing, digest_of


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("", ()),
        ("sesame", ("key-1",)),
        ("sesame, open", ("key-1", "key-2")),
        ("ann:sesame,bob.phone:open,third", ("ann", "bob.phone", "key-3")),
        ("sk-1:2", ("sk-1",)),
        ("9:2", ("key-1",)),
        ("ann:", ("key-1",)),
        ("sesame,key-1:open", ("key-1-unnamed", "key-1")),
        ("key-2:open,sesame,key-2-unnamed:x", ("key-2", "key-2-unnamed-unnamed", "key-2-unnamed")),
        ("phone:old,phone:new", ("phone", "phone")),
    ],
)
def test_keys_have_the_names_that_are_written_before_them(setting: str, names: tuple[str, ...]) -> None:
    assert tuple(key.name for key in KeyRing.read(setting).keys) == names


@pytest.mark.parametrize("setting", ["sesame,,open", ",sesame", "sesame,"])
def test_a_comma_too_many_is_no_empty_key(setting: str) -> None:
    with pytest.raises(ValueError, match="comma") as refused:
        KeyRing.read(setting)
    assert "sesame" not in str(refused.value)


def test_a_sent_key_is_found_whichever_it_is() -> None:
    ring = KeyRing.read("ann:sesame,bob:open:wide")
    found = {sent: ring.find([sent]) for sent in ("sesame", "open:wide", "ann", "ann:sesame", "open", "", "sesame ")}
    assert {sent: key.name for sent, key in found.items() if key} == {"sesame": "ann", "open:wide": "bob"}
    both = ring.find(["wrong", "open:wide"])
    assert both is not None
    assert both.name == "bob"


def test_no_key_is_asked_for_where_there_is_none() -> None:
    assert not KeyRing()
    assert KeyRing().find(["anything"]) is None


def test_a_ring_shows_no_key() -> None:
    assert "sesame" not in repr(KeyRing.read("ann:sesame"))
    assert repr(digest_of("sesame")) not in repr(KeyRing.read("ann:sesame"))


def owners(setting: str) -> list[str]:
    return [key.owner for key in KeyRing.read(setting).keys]


def test_a_key_without_a_name_is_the_same_holder_at_every_place() -> None:
    assert owners("sesame,open") == owners("open,sesame")[::-1] == owners("open,other:x,sesame")[::-2]


def test_no_name_makes_a_holder_of_another_key() -> None:
    (unnamed,) = owners("sesame")
    for name in ("key-1", "key-2", unnamed.partition(":")[2], "key", "name"):
        if name[0].isalpha():
            assert owners(f"{name}:open,sesame")[0] != unnamed
            assert len(set(owners(f"sesame,{name}:open"))) == len(set(owners(f"{name}:open,sesame"))) == 2


def test_a_new_key_under_an_old_name_has_the_same_holder() -> None:
    assert set(owners("phone:old,phone:new")) == set(owners("phone:newest"))
