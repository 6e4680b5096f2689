"""Where this process decodes untrusted files: set by the composition root, and read by the codecs when they first decode one.

A module of its own without imports: most runners never decode a file, and then never import the codecs (0.1 s, and 20 MB).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """The limits of a process that decodes one file for this process."""

    memory_mb: int
    """Maximum memory in MiB."""
    quiet_s: float
    """Maximum CPU seconds until the next piece of audio."""


_limits: DecodingLimits | None = None


def isolate_decoding(limits: DecodingLimits | None) -> None:
    """Decode every file of this process in another process, which starts with the first file; None: in this process, as by default."""
    global _limits  # noqa: PLW0603 - a property of the process and not of a caller, so that no code that decodes can forget it
    _limits = limits


def decoding_limits() -> DecodingLimits | None:
    """Return the limits that `isolate_decoding` has set."""
    return _limits
