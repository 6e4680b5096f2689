"""The variant of a Bento, `cpu`, `cuda` or `free`: the argument `variant` of bentofile.yaml, which BentoML stores in the Bento."""

from __future__ import annotations

from typing import Literal

import bentoml  # noqa: TID251 - BentoML holds the arguments of a Bento
from pydantic import BaseModel

Variant = Literal["cpu", "cuda", "free"]


class BentoArguments(BaseModel):
    """The arguments of `bentoml build`; a server that is started from its source has none."""

    variant: Variant | None = None
    """The packages of the image: `cpu`, `cuda` with those for NVIDIA GPUs, or `free` without those under the GPL."""


def variant() -> Variant | None:
    """Return the variant of the Bento that is being built or served; None if the server is started from its source.

    Raises bentoml.exceptions.InvalidArgument if `bentoml build --arg variant=…` names another one.
    """
    return bentoml.use_arguments(BentoArguments).variant
