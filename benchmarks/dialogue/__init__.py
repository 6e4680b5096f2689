"""`python -m benchmarks dialogue`: how a server takes turns in conversations, judged from outside on a time line."""

from benchmarks.dialogue.evaluation import run

__all__ = ["run"]
