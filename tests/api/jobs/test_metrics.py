from __future__ import annotations

from open_speech.api.jobs.job import Delivery, Job, Result
from open_speech.api.jobs.metrics import of_jobs


def job(number: int, **fields: object) -> Job:
    usual = {"id": f"job_{number}", "type": "transcription", "model": "m", "response_format": "srt", "created_at": 1}
    return Job.model_validate(usual | fields)


def told(jobs: list[Job], name: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for family in of_jobs(jobs) for sample in family.samples if sample.name == name}


def test_jobs_are_counted_by_kind_and_status() -> None:
    counted = told([job(1), job(2), job(3, status="failed"), job(4, type="speech", status="running")], "open_speech_jobs")
    assert {labels: count for labels, count in counted.items() if count} == {
        ("transcription", "queued"): 2,
        ("transcription", "failed"): 1,
        ("speech", "running"): 1,
    }
    assert len(counted) == 15


def test_what_jobs_take_on_disk_is_the_upload_and_then_the_result() -> None:
    done = job(2, status="completed", size=1000, result=Result(file="result.json", size=7, audio_s=1.0))
    assert told([job(1, size=1000), done], "open_speech_jobs_bytes") == {(): 1007}


def test_webhooks_are_counted_once_their_job_has_ended() -> None:
    hooks = [Delivery(url="https://a.test", status=status) for status in ("waiting", "pending", "failed", "failed")]
    counted = told([job(number, webhook=hook) for number, hook in enumerate(hooks)], "open_speech_job_webhooks")
    assert counted == {("pending",): 1, ("delivered",): 0, ("failed",): 2}


def test_without_jobs_every_figure_is_there_at_zero() -> None:
    families = of_jobs([])
    assert [sample.value for family in families for sample in family.samples] == [0] * (15 + 1 + 3)
