import pytest

from open_speech.backends import ModelEntry, Task, TranscribeOptions
from open_speech.errors import UnsupportedLanguage
from runners.support.one_language import settle

KOREAN = ModelEntry("x", "vosk", Task.STT, "MIT", ("ko",))


@pytest.mark.parametrize("options", [
    TranscribeOptions(),
    TranscribeOptions(language="ko"),
    TranscribeOptions(language="ko-KR"),
    TranscribeOptions(language="Korean"),
    TranscribeOptions(languages=("en", "ko")),
    TranscribeOptions(language="ko", languages=("en",)),
])  # fmt: skip
def test_a_request_that_allows_the_models_language_gets_it(options: TranscribeOptions) -> None:
    assert settle(options, KOREAN) == "ko"


@pytest.mark.parametrize(("options", "field"), [
    (TranscribeOptions(language="en"), "language"),
    (TranscribeOptions(language="Klingon"), "language"),
    (TranscribeOptions(languages=("en", "de")), "languages"),
])  # fmt: skip
def test_a_request_that_excludes_it_is_refused_by_the_field_that_does(options: TranscribeOptions, field: str) -> None:
    with pytest.raises(UnsupportedLanguage, match="Korean only") as refused:
        settle(options, KOREAN)
    assert refused.value.param == field
