from __future__ import annotations

import pytest

from open_speech.errors import PullNotAllowed
from open_speech.security.pull_policy import PullGuard, PullPolicy


@pytest.mark.parametrize(
    ("allowed", "repository", "allows"),
    [
        (("any",), "acme/whisper", True),
        (("catalog",), "acme/whisper", False),
        ((), "acme/whisper", False),
        (("Systran/*", "deepdml/*"), "Systran/faster-whisper-tiny", True),
        (("Systran/*",), "SystranX/faster-whisper-tiny", False),
        (("Systran/*",), "evil/Systran", False),
        (("Systran/*",), "systran/faster-whisper-tiny", False),
        (("acme/whisper",), "acme/whisper", True),
        (("acme/whisper",), "acme/whisper-2", False),
        (("catalog", "acme/*"), "acme/whisper", True),
    ],
)
def test_a_repository_is_allowed_by_name_pattern_or_word(allowed: tuple[str, ...], repository: str, allows: bool) -> None:
    assert PullPolicy(allowed).allows(repository) is allows


def test_what_the_settings_name_is_always_allowed() -> None:
    policy = PullPolicy(("catalog",), frozenset({"acme/whisper"}))
    assert policy.allows("acme/whisper")
    assert not policy.allows("acme/other")


def test_the_catalog_is_always_allowed_and_the_error_names_the_field_and_the_setting() -> None:
    guard = PullGuard(PullPolicy(("catalog",)), is_unlisted=lambda model: "/" in model)
    guard.check("kokoro")
    with pytest.raises(PullNotAllowed, match="OS_PULL_ALLOWED") as refused:
        guard.check("acme/whisper")
    assert (refused.value.param, refused.value.status, refused.value.code) == ("model", 403, "model_not_allowed")
