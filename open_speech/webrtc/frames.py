"""The audio frames of WebRTC as this server exchanges them with aiortc: 20 ms at 48 kHz. Pure."""

from __future__ import annotations

RATE = 48_000
"""Hertz: the clock of Opus in RTP, and the rate at which aiortc decodes it."""
FRAME_S = 0.02
FRAME = round(RATE * FRAME_S)
"""Samples of one frame."""
