"""Weights by content: a model file is known by its SHA-256, and any source that delivers those bytes is good.

`Store` is the door: `Store(folder).pull(model)` blocks until the model is there.
"""

from open_speech.weights.hub import Hub
from open_speech.weights.index import PackageIndex
from open_speech.weights.progress import OnProgress, Progress
from open_speech.weights.reach import Reach
from open_speech.weights.store import Installed, Store

__all__ = ["Hub", "Installed", "OnProgress", "PackageIndex", "Progress", "Reach", "Store"]
