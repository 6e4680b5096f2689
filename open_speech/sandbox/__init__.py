"""Sandboxing of a process before it reads untrusted bytes, and protection of its memory from other processes."""

from open_speech.sandbox.process import InForce, confine, hide_memory, preload

__all__ = ["InForce", "confine", "hide_memory", "preload"]
