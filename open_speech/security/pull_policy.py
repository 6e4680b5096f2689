"""Which models a request may have downloaded. A repository that anybody can publish must not reach the parsers of model files unasked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from open_speech.errors import PullNotAllowed

ANY, CATALOG = "any", "catalog"


@dataclass(frozen=True, slots=True)
class PullPolicy:
    """The rule of one server, as OS_PULL_ALLOWED states it."""

    allowed: tuple[str, ...] = (ANY,)
    """`any`, `catalog`, or patterns of repository names as `fnmatch` takes them."""
    named: frozenset[str] = frozenset()
    """Models that the operator's other settings name; they are always allowed."""

    def allows(self, repository: str) -> bool:
        """Return whether a repository outside of the catalog may be downloaded. Names are compared with their case."""
        return repository in self.named or any(rule == ANY or fnmatchcase(repository, rule) for rule in self.allowed)


@dataclass(frozen=True, slots=True)
class PullGuard:
    """The rule, applied to the models of one registry."""

    policy: PullPolicy
    is_unlisted: Callable[[str], bool]
    """Whether a model id is a hub repository that the catalog does not list."""

    def permits(self, model: str) -> bool:
        """Return whether a request may have a model downloaded."""
        return not self.is_unlisted(model) or self.policy.allows(model)

    def check(self, model: str) -> None:
        """Raise PullNotAllowed for a model that a request may not have downloaded."""
        if not self.permits(model):
            raise refusal(model)


def refusal(model: str) -> PullNotAllowed:
    """Make the error for a model that is neither here nor allowed to be downloaded."""
    return PullNotAllowed(
        f"The model `{model}` is not installed here, and OS_PULL_ALLOWED does not let requests download it. "
        f"The operator can install it with `open-speech models pull {model}`.",
        param="model",
    )
