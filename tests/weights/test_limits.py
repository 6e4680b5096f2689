"""What a request may have downloaded: no repository that is not allowed, and none larger than the limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from open_speech.errors import ModelTooLarge, PullNotAllowed
from open_speech.model_files import Archive, ArchiveSource, HubSource, UrlSource, WeightFile
from open_speech.security.pull_policy import PullGuard, PullPolicy
from open_speech.weights import Reach, Store
from open_speech.weights.hub import Hub
from open_speech.weights.index import PackageIndex
from open_speech.weights.pip_config import PipConfig

CATALOG_ONLY = PullGuard(PullPolicy(("catalog",)), is_unlisted=lambda model: model != "acme/listed")
WHISPER = {"config.json": b"{}", "model.bin": b"m" * 3000}


@pytest.fixture
def make_limited(shelf, tmp_path: Path, hub_cache: Path):
    def make(*, guard: PullGuard | None = None, max_bytes: int | None = None) -> Store:
        reach = Reach(deadline_s=2)
        hub, index = Hub(reach, shelf.url, hub_cache), PackageIndex(PipConfig((f"{shelf.url}/simple",)))
        return Store(tmp_path / "models", hub=hub, index=index, reach=reach, guard=guard, max_bytes=max_bytes)

    return make


def test_a_repository_that_is_not_allowed_is_not_even_looked_at(make_limited, make_model, shelf) -> None:
    shelf.host_repo("acme/whisper", WHISPER)
    with pytest.raises(PullNotAllowed):
        make_limited(guard=CATALOG_ONLY).pull(make_model({}, HubSource("acme/whisper"), id="acme/whisper"))
    assert shelf.asked == []


def test_a_listed_model_and_one_that_is_here_need_no_permission(make_limited, make_store, make_model, shelf, tmp_path: Path) -> None:
    shelf.host_repo("acme/listed", WHISPER)
    shelf.host_repo("acme/whisper", WHISPER)
    store = make_limited(guard=CATALOG_ONLY)
    store.pull(make_model({}, HubSource("acme/listed"), id="acme/listed"))
    other = make_model({}, HubSource("acme/whisper"), id="acme/whisper")
    make_store().pull(other)  # the operator's own download
    asked = len(shelf.asked)
    assert store.pull(other) == tmp_path / "models/acme/whisper"
    assert len(shelf.asked) == asked


def test_a_model_put_there_by_hand_needs_no_permission(make_limited, make_model, shelf, tmp_path: Path) -> None:
    folder = tmp_path / "models/acme/whisper"
    folder.mkdir(parents=True)
    for name, content in WHISPER.items():
        (folder / name).write_bytes(content)
    store = make_limited(guard=CATALOG_ONLY)
    assert store.by_hand() == {"acme/whisper": 3002}
    assert store.pull(make_model({}, HubSource("acme/whisper"), id="acme/whisper")) == folder
    assert store.by_hand() == {}
    assert shelf.asked == []


def test_a_model_that_the_hub_says_is_too_large_is_not_begun(make_limited, make_model, shelf, tmp_path: Path) -> None:
    shelf.host_repo("acme/whisper", WHISPER)
    with pytest.raises(ModelTooLarge, match="OS_PULL_MAX_MB") as refused:
        make_limited(max_bytes=3001).pull(make_model({}, HubSource("acme/whisper"), id="acme/whisper"))
    assert refused.value.param == "model"
    assert not [line for line in shelf.asked if "GET" in line and "resolve" in line]
    assert not (tmp_path / "models/acme").exists() or not any((tmp_path / "models/acme").rglob("*.bin*"))
    make_limited(max_bytes=3002).pull(make_model({}, HubSource("acme/whisper"), id="acme/whisper"))


def test_a_model_whose_size_nobody_tells_is_broken_off_at_the_limit(make_limited, make_model, shelf, tmp_path: Path) -> None:
    content = b"m" * (4 << 20)
    shelf.files["/model.bin"] = content
    model = make_model({}, UrlSource({"model.bin": f"{shelf.url}/model.bin"}))
    model = unsized(model)
    with pytest.raises(ModelTooLarge):
        make_limited(max_bytes=1 << 20).pull(model)
    assert sum(path.stat().st_size for path in (tmp_path / "models").rglob("*") if path.is_file()) < 1 << 16
    make_limited(max_bytes=4 << 20).pull(model)


def test_files_of_the_operators_stay_when_the_rest_is_too_large(make_limited, make_model, shelf, tmp_path: Path) -> None:
    shelf.files["/model.bin"] = b"m" * 3000
    model = make_model({"config.json": b"{}", "model.bin": b"m" * 3000}, UrlSource({"model.bin": f"{shelf.url}/model.bin"}))
    own = tmp_path / "models/acme/model/config.json"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"{}")
    with pytest.raises(ModelTooLarge):
        make_limited(max_bytes=2999).pull(model)
    assert own.read_bytes() == b"{}"


def test_a_package_that_is_too_large_is_not_begun(make_limited, make_model, shelf, wheel, hashed) -> None:
    packed = wheel({"model.bin": bytes(range(256)) * 40})
    shelf.host_archive("acme", "acme-1.whl", packed)
    archive = Archive("acme", "1", "acme-1.whl", hashed(packed), len(packed))
    model = make_model({"model.bin": bytes(range(256)) * 40}, ArchiveSource((archive,), {"model.bin": ((0, "model.bin"),)}))
    with pytest.raises(ModelTooLarge):
        make_limited(max_bytes=len(packed) - 1).pull(model)
    assert shelf.gets("/files/acme-1.whl") == []


def unsized(model):
    """Say of a model which files it has, and not how large they are."""
    return replace(model, files=(WeightFile("model.bin"),))
