"""Stored jobs -> metrics: jobs by type and status, their disk space, and webhooks by status. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric

from open_speech.api.jobs.job import Job, Kind, Status


def of_jobs(jobs: Sequence[Job]) -> list[Metric]:
    """Return the metrics of jobs. Every type and status is included, with 0 if there is none."""
    stored = GaugeMetricFamily("open_speech_jobs", "Stored jobs by type and status.", labels=("type", "status"))
    counted = Counter((job.type, job.status) for job in jobs)
    for kind in get_args(Kind):
        for status in get_args(Status):
            stored.add_metric((kind, status), counted[kind, status])
    size = GaugeMetricFamily("open_speech_jobs_bytes", "Disk space of the uploads and results of jobs.")
    size.add_metric((), sum(job.bytes_kept for job in jobs))
    webhooks = GaugeMetricFamily("open_speech_job_webhooks", "Webhooks of stored jobs that have ended.", labels=("status",))
    sent = Counter(job.webhook.status for job in jobs if job.webhook is not None)
    for state in ("pending", "delivered", "failed"):
        webhooks.add_metric((state,), sent[state])
    return [stored, size, webhooks]
