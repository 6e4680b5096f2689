"""Settings: which model weights a request may cause to be downloaded, and their maximum size."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.config.types import Names


class WeightSettings(BaseModel):
    """Which model weights a request may cause to be downloaded, and their maximum size."""

    os_pull_allowed: Names = Field(
        (),
        description="Models that a request may have downloaded: `catalog` (the models that the server lists and those that its settings "
        "name), `any` (every Hugging Face repository), or patterns of repositories such as `Systran/*,deepdml/*` (and the catalog). "
        "Empty: `any` if only this machine can reach the server and no API key is set, else `catalog`. The command line may download "
        "everything.",
    )
    os_pull_max_mb: int = Field(
        16_384, ge=0, description="Maximum size of one model that a request has downloaded, in MiB. 0 disables the limit."
    )
