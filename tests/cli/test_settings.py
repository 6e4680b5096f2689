from __future__ import annotations

from collections.abc import Callable
from typing import Any

from open_speech.config import names

Run = Callable[..., Any]


def test_every_setting_is_listed_with_its_value(run: Run) -> None:
    result = run("settings", OS_PORT="8123", OS_CORS_ORIGINS="http://a, http://b", OS_OFFLINE="true")
    assert result.exit_code == 0
    rows = {row.split("\t")[0]: row.split("\t")[1] for row in result.stdout.splitlines()}
    assert tuple(rows) == names()
    assert rows["OS_PORT"] == "8123"
    assert rows["OS_CORS_ORIGINS"] == "http://a,http://b"
    assert rows["OS_OFFLINE"] == "true"
    assert rows["OS_SSL_CERTFILE"] == ""


def test_the_api_key_is_never_shown(run: Run) -> None:
    result = run("settings", OS_API_KEY="topsecret")
    assert "topsecret" not in result.output
    assert "OS_API_KEY\t(hidden)\t" in result.stdout


def test_an_empty_api_key_is_shown_as_empty(run: Run) -> None:
    assert "OS_API_KEY\t\t" in run("settings").stdout


def test_a_wrong_setting_is_named_and_the_list_is_still_there_to_look_it_up(run: Run) -> None:
    result = run("settings", OS_PORTT="1")
    assert result.exit_code == 2
    assert "Did you mean OS_PORT?" in result.stderr
    assert len(result.stdout.splitlines()) == len(names())
