"""Settings: jobs on disk, batches and webhooks."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, field_validator


class JobSettings(BaseModel):
    """Jobs on disk, batches and webhooks."""

    os_jobs_dir: Path = Field(Path("~/.local/share/open-speech/jobs"), description="Folder of jobs, with their files and results.")
    os_database_url: str = Field(
        "",
        repr=False,
        description="PostgreSQL database that holds the state of jobs, for several servers with one jobs folder "
        "(`postgresql://user:password@host/name`). Empty: the state is in the jobs folder. Needs the extra `postgres`.",
    )
    os_jobs_retain_h: float = Field(24.0, gt=0, description="Time for which a finished job is kept, in hours.")
    os_jobs_max_mb: int = Field(10_240, ge=1, description="Maximum size of the jobs folder, in MiB. Beyond it new jobs are answered 507.")
    os_batch_workers: int = Field(2, ge=1, le=64, description="Number of jobs processed at once.")
    os_batch_max_pending: int = Field(
        10, ge=1, le=1000, description="Maximum number of jobs waiting or in progress. Further jobs are answered 429."
    )
    os_batch_max_total_mb: int = Field(500, ge=1, description="Maximum size of a request that creates jobs, with all its files, in MiB.")
    os_webhook_secret: str = Field(
        "", repr=False, description="Secret that webhooks are signed with (`whsec_…`). Empty: webhooks are not signed."
    )
    os_webhook_allow_private: bool = Field(False, description="Allow webhooks to this machine and to private networks.")

    @field_validator("os_database_url")
    @classmethod
    def _is_postgresql(cls, url: str) -> str:
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return url
