from __future__ import annotations

import asyncio
import pickle
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import diskcache
import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import ModelEntry, SpeechOptions, Task, VoiceReference
from open_speech.config import Settings
from open_speech.errors import BackendFailed
from open_speech.model_files import HubSource, WeightFile
from open_speech.synthesis.cache import Answer, CacheEntry, SpeechCache, Stamp, digest
from open_speech.synthesis.pipeline import Synthesize
from open_speech.weights.manifest import Manifest
from runners.wiring.factories import stamp
from tests.waiting import PATIENCE_S

MIB = 1 << 20
RATE = 24_000
MODEL = ModelEntry("mouth/one", "mouth", Task.TTS, "MIT", ("en",), sources=(HubSource("mouth/one", paths={"a": "b"}),))
ANN = SpeechOptions("ann")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., SpeechCache]]:
    """Open the cache of a folder; each call is another start of the server."""
    caches: list[SpeechCache] = []

    def start(folder: Path = tmp_path, max_bytes: int = 64 * MIB, stamp: Stamp = lambda _: "weights") -> SpeechCache:
        caches.append(SpeechCache(folder, max_bytes, stamp))
        return caches[-1]

    yield start
    for cache in caches:
        cache.close()


async def chunks(*data: bytes) -> AsyncGenerator[bytes, None]:
    for chunk in data:
        yield chunk


async def place_of(cache: SpeechCache, *what: object, options: SpeechOptions = ANN, model: ModelEntry = MODEL) -> CacheEntry:
    place = await cache.entry(model, [options], *what)
    assert place is not None
    return place


async def kept(place: CacheEntry, *data: bytes, seconds: float = 1.5) -> bytes:
    return b"".join([chunk async for chunk in place.storing(chunks(*data), lambda: seconds)])


def test_an_answer_is_found_again_after_a_restart(opened: Callable[..., SpeechCache]) -> None:
    async def first() -> None:
        place = await place_of(opened(), "hello")
        assert await place.find() is None
        assert await kept(place, b"one", b"two") == b"onetwo"
        assert await place.find() == Answer(b"onetwo", 1.5)

    async def later() -> Answer | None:
        return await (await place_of(opened(), "hello")).find()

    asyncio.run(first())
    assert asyncio.run(later()) == Answer(b"onetwo", 1.5)


@pytest.mark.parametrize(
    "changed",
    [
        {"what": ("hello!", "mp3")},
        {"what": ("hello", "wav")},
        {"what": ("hello", "mp3", None)},
        {"options": replace(ANN, voice="bob")},
        {"options": replace(ANN, speed=1.1)},
        {"options": replace(ANN, language="de")},
        {"options": replace(ANN, instructions="Whisper.")},
        {"options": replace(ANN, design="An old man.")},
        {"options": replace(ANN, reference=VoiceReference(b"\x00\x01"))},
        {"model": replace(MODEL, id="mouth/two")},
        {"stamp": "other weights"},
    ],
    ids=str,
)
def test_whatever_is_changed_is_another_answer(opened: Callable[..., SpeechCache], changed: dict[str, object]) -> None:
    async def keys() -> tuple[str, str]:
        plain: dict[str, object] = {"what": ("hello", "mp3"), "options": ANN, "model": MODEL, "stamp": "weights"}
        found = []
        for case in (plain, plain | changed):
            cache = opened(stamp=lambda _, told=case["stamp"]: told)
            found.append((await place_of(cache, *case["what"], case["options"], options=case["options"], model=case["model"])).key)
        return found[0], found[1]

    one, other = asyncio.run(keys())
    assert one != other


def test_nothing_is_kept_of_weights_that_are_not_known(opened: Callable[..., SpeechCache]) -> None:
    assert asyncio.run(opened(stamp=lambda _: None).entry(MODEL, [ANN], "hello")) is None


def test_only_a_complete_answer_is_kept(opened: Callable[..., SpeechCache]) -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"half"
        raise BackendFailed("gone")

    async def tried() -> None:
        place = await place_of(opened(), "hello")
        async with aclosing(place.storing(chunks(b"one", b"two"), lambda: 1.0)) as left:
            await anext(left)
        assert await place.find() is None
        with pytest.raises(BackendFailed):
            [chunk async for chunk in place.storing(broken(), lambda: 1.0)]
        assert await place.find() is None

    asyncio.run(tried())


def test_the_folder_stays_within_its_size_and_what_was_used_last_stays(opened: Callable[..., SpeechCache], tmp_path: Path) -> None:
    async def filled() -> None:
        cache = opened(max_bytes=8 * MIB)
        places = [await place_of(cache, number) for number in range(24)]
        for place in places:
            await kept(place, bytes(MIB // 2))
            assert await places[0].find() is not None
            await asyncio.sleep(0.002)
        found = [await place.find() is not None for place in places]
        assert found[0]
        assert found[-1]
        assert not all(found)

    asyncio.run(filled())
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.val")) <= 8 * MIB


def test_what_is_too_large_is_sent_and_not_kept(opened: Callable[..., SpeechCache]) -> None:
    async def tried() -> Answer | None:
        place = await place_of(opened(max_bytes=8 * MIB), "long")
        assert len(await kept(place, bytes(MIB), bytes(MIB), b"end")) == 2 * MIB + 3
        return await place.find()

    assert asyncio.run(tried()) is None


def test_a_file_that_a_crash_left_half_written_is_a_miss(opened: Callable[..., SpeechCache], tmp_path: Path) -> None:
    async def tried() -> Answer | None:
        place = await place_of(opened(), "hello")
        await kept(place, bytes(100_000))
        (file,) = tmp_path.rglob("*.val")
        file.write_bytes(file.read_bytes()[:50_000])
        return await place.find()

    assert asyncio.run(tried()) is None


def test_a_damaged_index_begins_anew(opened: Callable[..., SpeechCache], tmp_path: Path) -> None:
    async def tried() -> Answer | None:
        place = await place_of(opened(), "hello")
        await kept(place, b"one")
        return await place.find()

    folder = tmp_path / "speech-1"
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"this is no database, and long enough that nobody takes it for an empty one" * 100)
    assert asyncio.run(tried()) == Answer(b"one", 1.5)


def test_a_folder_that_cannot_be_written_is_a_miss_and_fails_nothing(
    opened: Callable[..., SpeechCache], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def tried() -> Answer | None:
        (tmp_path / "file").write_bytes(b"")
        place = await place_of(opened(tmp_path / "file"), "hello")
        assert await kept(place, b"one") == b"one"
        return await place.find()

    assert asyncio.run(tried()) is None
    assert len([record for record in caplog.records if "failed" in record.message]) == 1


def test_a_disk_that_hangs_is_not_waited_for(opened: Callable[..., SpeechCache]) -> None:
    wake = threading.Event()

    def asleep(_: ModelEntry) -> str:
        wake.wait(PATIENCE_S)
        return "weights"

    async def tried() -> None:
        assert await opened(stamp=asleep).entry(MODEL, [ANN], "hello") is None
        assert not wake.is_set()
        wake.set()

    asyncio.run(tried())


class Trap:
    """A pickle that tells when it is opened."""

    opened = False

    def __reduce__(self) -> tuple[object, ...]:
        return (setattr, (Trap, "opened", True))


def test_a_pickle_in_the_folder_is_not_opened(opened: Callable[..., SpeechCache], tmp_path: Path) -> None:
    async def tried() -> Answer | None:
        place = await place_of(opened(), "hello")
        await kept(place, b"one")
        with sqlite3.connect(tmp_path / "speech-1" / "cache.db") as index:
            trap = sqlite3.Binary(pickle.dumps(Trap()))
            index.execute("UPDATE Cache SET mode = ?, value = ?", (diskcache.core.MODE_PICKLE, trap))
        index.close()
        return await place.find()

    assert asyncio.run(tried()) is None
    assert not Trap.opened


@dataclass
class Mouth:
    """Speaks 0.2 s in two pieces, and counts; leaves off in the midst of `boom`."""

    calls: int = 0

    async def __call__(self, text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
        self.calls += 1
        for half in range(2):
            if text == "boom" and half:
                raise BackendFailed("gone")
            yield Audio(np.linspace(-0.5, 0.5, RATE // 10, dtype=np.float32), RATE)


async def sound_of(speak: Synthesize, text: str, options: SpeechOptions = ANN) -> np.ndarray:
    return np.concatenate([audio.samples async for audio in speak(text, options)])


def test_a_sentence_that_comes_again_is_not_spoken_again(opened: Callable[..., SpeechCache]) -> None:
    mouth = Mouth()

    async def first() -> np.ndarray:
        cache = opened()
        sound = await sound_of(cache.cached(MODEL, mouth), "Hello.")
        await asyncio.to_thread(cache.close)
        return sound

    async def again() -> np.ndarray:
        speak = opened().cached(MODEL, mouth)
        sound = await sound_of(speak, "Hello.")
        assert mouth.calls == 1
        await sound_of(speak, "Hello.", replace(ANN, speed=1.2))
        await sound_of(speak, "Hallo.")
        assert mouth.calls == 3
        return sound

    before, after = asyncio.run(first()), asyncio.run(again())
    np.testing.assert_allclose(after, before, atol=1 / 32768)


def test_a_sentence_that_was_not_spoken_to_its_end_is_not_kept(opened: Callable[..., SpeechCache]) -> None:
    mouth = Mouth()

    async def tried() -> None:
        cache = opened()
        speak = cache.cached(MODEL, mouth)
        for _ in range(2):
            with pytest.raises(BackendFailed):
                await sound_of(speak, "boom")
            async with aclosing(speak("Hello.", ANN)) as left:
                await anext(left)
        await asyncio.to_thread(cache.close)

    asyncio.run(tried())
    assert mouth.calls == 4


def test_a_model_is_known_by_the_hashes_of_its_files(tmp_path: Path) -> None:
    told = stamp(Settings(os_models_dir=tmp_path))
    listed = replace(MODEL, backend="kokoro", files=(WeightFile("a.onnx", "1" * 64, 3),))
    assert told(listed)
    assert told(listed) != told(replace(listed, files=(WeightFile("a.onnx", "2" * 64, 3),)))
    assert told(listed) != stamp(Settings(os_models_dir=tmp_path, tts_device="cuda"))(listed)
    assert told(replace(listed, sources=(), files=()))  # no weights at all: the tones, or another server


def test_a_model_of_the_hub_is_known_once_it_was_pulled(tmp_path: Path) -> None:
    told = stamp(Settings(os_models_dir=tmp_path))
    hub = replace(MODEL, backend="kokoro")
    assert told(hub) is None
    stamps = set()
    for digit in "12":
        Manifest(hub.id, (WeightFile("a.onnx", digit * 64, 3),), complete=True).write(tmp_path / hub.id)
        stamps.add(told(hub))
    assert len(stamps) == 2
    assert None not in stamps


def test_equal_data_has_one_hash_and_other_data_another() -> None:
    values: list[object] = [
        "ab", b"ab", ("a", "b"), ("ab",), ["ab"], (("a",), "b"), 1, 1.5, True, None, "None", "1", ANN, replace(ANN, speed=2.0), (), "", b"",
    ]  # fmt: skip
    hashes = [digest(value) for value in values]
    assert len(set(hashes)) == len(values) - 1  # a list is a tuple here
    assert hashes == [digest(value) for value in values]


def test_a_function_says_nothing_and_other_things_have_no_hash() -> None:
    @dataclass(frozen=True)
    class How:
        speed: float
        say: Callable[[str], str]

    assert digest(How(1.0, str)) == digest(How(1.0, repr))
    with pytest.raises(TypeError):
        digest({1, 2})
