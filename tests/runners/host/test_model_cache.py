from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from runners.host.model_cache import Residency
from tests.waiting import PATIENCE_S


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def residency(clock: Clock, load: Callable[[str], object] = str.upper, *, ttl_s: float = 10, limit: int = 0) -> Residency[object]:
    return Residency(load, ttl_s=ttl_s, limit=limit, clock=clock)


def test_a_model_is_loaded_once_for_many_askers_at_the_same_time(clock: Clock) -> None:
    loads: list[str] = []

    def load(key: str) -> object:
        loads.append(key)
        time.sleep(0.05)
        return object()

    models = residency(clock, load)
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(models.acquire("a").value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert loads == ["a"]
    assert len(got) == 8
    assert len(set(map(id, got))) == 1


def test_a_failed_load_is_raised_and_the_next_asker_tries_again(clock: Clock) -> None:
    results = iter([RuntimeError("disk"), None])

    def load(key: str) -> object:
        if (failure := next(results)) is not None:
            raise failure
        return key

    models = residency(clock, load)
    with pytest.raises(RuntimeError, match="disk"):
        models.acquire("a")
    assert models.acquire("a").value == "a"


def test_an_idle_model_is_let_go_after_its_ttl_and_not_before(clock: Clock) -> None:
    models = residency(clock, ttl_s=10)
    models.acquire("a").release()
    clock.now = 9.9
    assert models.evict_idle() == []
    clock.now = 10
    assert models.evict_idle() == ["a"]
    assert models.loaded() == {}


def test_a_model_in_use_is_never_let_go_by_time(clock: Clock) -> None:
    models = residency(clock, ttl_s=10)
    lease = models.acquire("a")
    clock.now = 1000
    assert models.evict_idle() == []
    lease.release()
    assert models.evict_idle() == []
    clock.now = 1010
    assert models.evict_idle() == ["a"]


def test_ttl_zero_keeps_models_for_ever(clock: Clock) -> None:
    models = residency(clock, ttl_s=0)
    models.acquire("a").release()
    clock.now = 1e9
    assert models.evict_idle() == []


def test_the_least_recently_used_idle_model_makes_room(clock: Clock) -> None:
    models = residency(clock, limit=2)
    for moment, key in enumerate("abac"):
        clock.now = moment
        models.acquire(key).release()
    assert set(models.loaded()) == {"a", "c"}


def test_models_in_use_may_exceed_the_limit_rather_than_fail(clock: Clock) -> None:
    models = residency(clock, limit=1)
    first = models.acquire("a")
    models.acquire("b")
    assert set(models.loaded()) == {"a", "b"}
    first.release()


def test_unload_tells_whether_the_model_was_loaded(clock: Clock) -> None:
    models = residency(clock)
    models.acquire("a").release()
    assert models.unload("a") is True
    assert models.unload("a") is False
    assert models.acquire("a").value == "A"


def test_a_model_unloaded_while_in_use_can_still_be_released(clock: Clock) -> None:
    models = residency(clock)
    lease = models.acquire("a")
    models.unload("a")
    lease.release()
    assert models.loaded() == {}


def test_room_is_made_before_a_load_so_two_models_never_overlap(clock: Clock) -> None:
    held: list[dict[str, float]] = []
    models: Residency[object] = residency(clock, lambda key: held.append(models.loaded()) or key, limit=1)
    models.acquire("a").release()
    models.acquire("b").release()
    assert held == [{}, {}]
    assert set(models.loaded()) == {"b"}


def test_what_is_loaded_is_borrowed_without_waiting_for_a_load(clock: Clock) -> None:
    models = residency(clock)
    assert models.borrow("a") is None
    models.load("a")
    lease = models.borrow("a")
    assert lease is not None
    assert (lease.value, models.users()) == ("A", {"a": 1})
    lease.release()
    assert models.users() == {"a": 0}


def test_while_one_model_loads_another_can_be_borrowed(clock: Clock) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def load(key: str) -> object:
        if key == "slow":
            loading.set()
            assert go_on.wait(PATIENCE_S)
        return key

    models = residency(clock, load)
    models.load("quick")
    thread = threading.Thread(target=models.load, args=("slow",))
    thread.start()
    assert loading.wait(PATIENCE_S)
    lease = models.borrow("quick")
    assert lease is not None
    lease.release()
    assert models.borrow("slow") is None
    go_on.set()
    thread.join(PATIENCE_S)
    assert set(models.loaded()) == {"quick", "slow"}


def test_models_that_were_in_use_together_go_back_to_the_limit_afterwards(clock: Clock) -> None:
    models = residency(clock, limit=1)
    leases = [models.acquire(key) for key in "abc"]
    for moment, lease in enumerate(leases):
        clock.now = moment
        lease.release()
    assert set(models.loaded()) == {"c"}
    assert models.freed == 2


def test_a_name_that_cannot_be_loaded_leaves_nothing_behind(clock: Clock) -> None:
    def load(key: str) -> object:
        raise LookupError(key)

    models = residency(clock, load, ttl_s=0)
    for number in range(50):
        with pytest.raises(LookupError):
            models.load(f"made/up-{number}")
    assert models._slots == {}


def test_a_model_counts_as_freed_when_its_last_user_is_done(clock: Clock) -> None:
    models = residency(clock)
    first, second = models.acquire("a"), models.acquire("a")
    models.unload("a")
    first.release()
    assert models.freed == 0
    second.release()
    assert models.freed == 1
    models.load("a")
    clock.now = 100
    models.evict_idle()
    assert models.freed == 2
