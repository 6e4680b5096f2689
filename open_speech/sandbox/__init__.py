"""What a process gives up before it reads bytes that it does not trust, and how it keeps its own memory from its neighbours."""

from open_speech.sandbox.process import InForce, confine, hide_memory, preload

__all__ = ["InForce", "confine", "hide_memory", "preload"]
