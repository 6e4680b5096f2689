"""The policy for model downloads by requests: anyone can publish a repository, and its files are input of the parsers of model files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from open_speech.errors import PullNotAllowed

ANY, CATALOG = "any", "catalog"


@dataclass(frozen=True, slots=True)
class PullPolicy:
    """The policy of one server, as set with OS_PULL_ALLOWED."""

    allowed: tuple[str, ...] = (ANY,)
    """`any`, `catalog`, or `fnmatch` patterns of repository names."""
    named: frozenset[str] = frozenset()
    """Models in other settings, which are always allowed."""

    def allows(self, repository: str) -> bool:
        """Return whether a repository outside the catalog may be downloaded. The comparison is case-sensitive."""
        return repository in self.named or any(rule == ANY or fnmatchcase(repository, rule) for rule in self.allowed)


@dataclass(frozen=True, slots=True)
class PullGuard:
    """The policy, applied to the models of one registry."""

    policy: PullPolicy
    is_unlisted: Callable[[str], bool]
    """Returns whether a model id is a hub repository outside the catalog."""

    def permits(self, model: str) -> bool:
        """Return whether a request may download a model."""
        return not self.is_unlisted(model) or self.policy.allows(model)

    def check(self, model: str) -> None:
        """Raise PullNotAllowed for a model that a request may not download."""
        if not self.permits(model):
            raise refusal(model)


def refusal(model: str) -> PullNotAllowed:
    """Return the error for a model that is not downloaded and may not be downloaded by requests."""
    return PullNotAllowed(
        f"The model `{model}` is not installed here, and OS_PULL_ALLOWED does not let requests download it. "
        f"The operator can install it with `open-speech models pull {model}`.",
        param="model",
    )
