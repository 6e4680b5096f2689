"""Weights by content: a model file is identified by its SHA-256, and may come from any source that delivers these bytes.

`Store` is the entry point: `Store(folder).pull(model)` blocks until the model is downloaded.
"""

from open_speech.weights.progress import OnProgress, Progress
from open_speech.weights.reach import Reach
from open_speech.weights.store import Installed, Store

__all__ = ["Installed", "OnProgress", "Progress", "Reach", "Store"]
