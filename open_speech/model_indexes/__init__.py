"""Model indexes: TOML files with rows for the catalog that anyone may host, accepted by their SHA-256 or by a signature.

An index contains rows only, never code. `ModelIndexes` is the folder of the indexes that the operator has accepted (docs/registry.md).
"""

from open_speech.model_indexes.folder import ModelIndexes
from open_speech.model_indexes.joining import with_indexes
from open_speech.model_indexes.rows import Catalog
from open_speech.model_indexes.values import AcceptedIndex, IndexRefused, IndexReport, JoinedModels, ModelIndex

__all__ = [
    "AcceptedIndex", "Catalog", "IndexRefused", "IndexReport", "JoinedModels", "ModelIndex", "ModelIndexes", "with_indexes",
]  # fmt: skip
