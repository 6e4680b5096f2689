from __future__ import annotations

import pytest

from open_speech.api.jobs.job import DELIVER_AGAIN_S, MOST_RUNS, Delivery, Job, Result
from open_speech.errors import BackendFailed, InvalidAudio, from_wire

NEW = Job(id="job_1", type="transcription", model="whisper-1", response_format="json", created_at=100)
TOLD = NEW.model_copy(update={"webhook": Delivery(url="https://example.com/")})
RESULT = Result(file="result.json", size=10, audio_s=12.5)


def test_a_job_is_queued_then_runs_then_is_over() -> None:
    running = NEW.begun(101.5)
    assert (NEW.status, running.status, running.started_at, running.runs) == ("queued", "running", 101, 1)
    done = running.advanced(6.0, 12.0, 0.5).completed(110.9, RESULT)
    assert (done.status, done.finished_at, done.progress, done.audio_s, done.total_s) == ("completed", 110, 1.0, 12.5, 12.5)
    assert done.is_over
    assert done.next_at is None


def test_progress_never_goes_back_and_never_beyond_the_whole() -> None:
    running = NEW.begun(1).advanced(6.0, 12.0, 0.5)
    assert running.advanced(2.0, 12.0, 0.2).progress == 0.5
    assert running.advanced(13.0, 12.0, 1.1).progress == 1.0
    assert NEW.advanced(6.0, 12.0, 0.5) == NEW


def test_the_first_end_of_a_job_stands() -> None:
    cancelled = NEW.begun(1).cancelled(2)
    assert cancelled.completed(3, RESULT) == cancelled
    assert cancelled.failed(3, BackendFailed("x")) == cancelled
    assert cancelled.put_back(3, counts=True) == cancelled
    assert cancelled.begun(3) == cancelled
    done = NEW.begun(1).completed(2, RESULT)
    assert done.cancelled(3) == done


def test_a_job_whose_runner_is_gone_wants_work_as_a_queued_one_does() -> None:
    assert NEW.begun(1).wants_work(2)
    assert NEW.wants_work(1)
    assert not NEW.cancelled(1).wants_work(2)


def test_a_job_that_is_put_back_waits_for_its_time() -> None:
    waiting = NEW.begun(1).put_back(10, counts=True)
    assert (waiting.status, waiting.runs, waiting.next_at) == ("queued", 1, 10)
    assert not waiting.wants_work(9)
    assert waiting.wants_work(10)


def test_an_interruption_is_no_run() -> None:
    assert NEW.begun(1).put_back(1, counts=False).runs == 0


def test_a_job_that_takes_the_server_down_each_time_is_given_up() -> None:
    job = NEW
    for _ in range(MOST_RUNS):
        job = job.begun(1)
        assert job.status == "running"
    job = job.begun(1)
    assert job.status == "failed"
    assert job.error is not None


def test_an_error_is_kept_with_its_field_and_status() -> None:
    failed = NEW.begun(1).failed(2, InvalidAudio("no sound", param="file"))
    assert failed.error is not None
    error = from_wire(failed.error)
    assert (type(error), error.param, error.status) == (InvalidAudio, "file", 400)


def test_it_is_expired_so_long_after_its_end() -> None:
    assert not NEW.is_expired(1e12, 60)
    done = NEW.begun(1).completed(100, RESULT)
    assert not done.is_expired(160, 60)
    assert done.is_expired(161, 60)


@pytest.mark.parametrize("over", [TOLD.begun(1).completed(5, RESULT), TOLD.begun(1).failed(5, BackendFailed("x"))])
def test_a_webhook_is_due_at_the_end_and_not_before(over: Job) -> None:
    assert not TOLD.begun(1).wants_delivery(1e12)
    assert over.wants_delivery(5)
    assert over.next_at == 5


def test_who_cancels_is_not_told_by_webhook() -> None:
    assert not TOLD.cancelled(5).wants_delivery(1e12)


def test_a_webhook_that_arrived_is_not_sent_again() -> None:
    done = TOLD.begun(1).completed(5, RESULT).delivered()
    assert done.webhook is not None
    assert (done.webhook.status, done.webhook.attempts, done.next_at) == ("delivered", 1, None)
    assert not done.wants_delivery(1e12)


def test_a_webhook_is_sent_again_later_and_later_and_then_no_more() -> None:
    job, now = TOLD.begun(1).completed(5, RESULT), 5.0
    for pause in DELIVER_AGAIN_S:
        job = job.undelivered(now, "status 500")
        assert not job.wants_delivery(now + pause - 1)
        now += pause
        assert job.wants_delivery(now)
    job = job.undelivered(now, "status 500")
    assert job.webhook is not None
    assert (job.webhook.status, job.webhook.attempts, job.webhook.note) == ("failed", len(DELIVER_AGAIN_S) + 1, "status 500")
    assert job.status == "completed"


def test_a_receiver_that_wants_no_more_is_not_asked_again() -> None:
    job = TOLD.begun(1).completed(5, RESULT).undelivered(5, "status 410", again=False)
    assert not job.wants_delivery(1e12)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("", ""), ("phone", "name:phone"), ("key-1", "name:key-1"), ("0123456789abcdef", "key:0123456789abcdef"),
        ("name:phone", "name:phone"), ("key:0123456789abcdef", "key:0123456789abcdef"), ("0123456789ABCDEF", "name:0123456789ABCDEF"),
    ],
)  # fmt: skip
def test_the_owner_that_an_earlier_server_wrote_is_read(before: str, now: str) -> None:
    job = Job(id="job_1", type="speech", model="m", response_format="mp3", created_at=1, owner=before)
    assert job.owner == now
    assert Job.model_validate_json(job.model_dump_json()).owner == now
