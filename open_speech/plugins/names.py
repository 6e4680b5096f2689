"""The ids and aliases of a catalog, for the check whether a new row is in conflict with an existing one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from open_speech.backends import ModelEntry
from open_speech.registry import OPENAI_STT, OPENAI_TTS

_OPENAI = frozenset({*OPENAI_STT, *OPENAI_TTS})


class TakenNames:
    """The names of the models so far. The time of each method does not depend on their number."""

    def __init__(self, models: Iterable[ModelEntry] = ()) -> None:
        self._names: dict[str, ModelEntry] = {}
        self._ids: dict[str, ModelEntry] = {}
        self._parents: dict[str, ModelEntry] = {}
        for model in models:
            self.add(model)

    def add(self, model: ModelEntry) -> None:
        """Add the names of a model."""
        for name in names_of(model):
            self._names.setdefault(name, model)
        self._ids[model.id.lower()] = model
        for parent in _parents(model.id):
            self._parents.setdefault(parent, model)

    def conflict(self, model: ModelEntry) -> str:
        """Return why the names of a model cannot be added, as a clause; an empty text if they can.

        A name may be taken, be one of OpenAI's, or lead to a folder inside the folder of another model. Case is ignored.
        """
        names = set(names_of(model))
        if taken := min(names & self._names.keys(), default=""):
            other = self._names[taken]
            what = "the id" if taken == other.id.lower() else f"another name of `{other.id}`,"
            return f"`{taken}` is {what} of a model of the backend `{other.backend}`"
        outer = next((self._ids[parent] for parent in _parents(model.id) if parent in self._ids), None)
        if outer is not None:
            return f"the folder of `{model.id}` would be in that of `{outer.id}` of the backend `{outer.backend}`"
        if (inner := self._parents.get(model.id.lower())) is not None:
            return f"the folder of `{inner.id}` would be in that of `{model.id}` of the backend `{model.backend}`"
        if aliases := names & _OPENAI:
            return f"`{min(aliases)}` is a name of OpenAI, which stands for the default model"
        return ""


def names_of(model: ModelEntry) -> Iterator[str]:
    """Yield every id and alias of a model and its parts, in lower case."""
    for entry in (model, *model.parts):
        yield entry.id.lower()
        yield from (alias.lower() for alias in entry.aliases)


def _parents(model_id: str) -> Iterator[str]:
    """Yield the folders above a model's folder, in lower case: `a` and `a/b` for `a/b/c`."""
    parts = model_id.lower().split("/")
    yield from ("/".join(parts[:count]) for count in range(1, len(parts)))
