"""YAML of compose files: reading with a bound on size, and writing of the few forms that the result needs. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from open_speech.cli._migrate_env import UnreadableFile

MOST_NODES = 50_000
"""A compose file has some hundred nodes. Nested anchors can stand for billions."""
_WORD = re.compile(r"[A-Za-z][\w./-]*")
_RESERVED = frozenset("y n yes no on off true false null none nan".split())


class Document:
    """A compose file: its values as plain data, in which every scalar is text, and its nodes for the parts that are copied."""

    def __init__(self, text: str) -> None:
        """Parse a file. Raises UnreadableFile, which names the line and none of its content."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            self._left = MOST_NODES
            self.data: Any = self._plain(root) if root is not None else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise UnreadableFile(f"line {line}: invalid YAML") from None
        except yaml.YAMLError:
            raise UnreadableFile("invalid YAML") from None
        except RecursionError:
            raise UnreadableFile("the YAML is nested too deeply") from None
        self._root = root

    def _plain(self, node: yaml.Node) -> Any:
        self._left -= 1
        if self._left < 0:
            raise UnreadableFile(f"the YAML has more than {MOST_NODES} values")
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item) for item in node.value]
        if not isinstance(node, yaml.MappingNode):
            return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            name, content = self._plain(key), self._plain(value)
            if key.tag == "tag:yaml.org,2002:merge":
                for part in content if isinstance(content, list) else [content]:
                    merged = {**(part if isinstance(part, dict) else {}), **merged}
            else:
                found[str(name)] = content
        return {**merged, **found}

    def source(self, *path: str) -> str:
        """Return the YAML of the value at a path of keys, without comments. Raises KeyError if a key is missing."""
        node = self._root
        for name in path:
            node = next((value for key, value in node.value if key.value == name), None) if isinstance(node, yaml.MappingNode) else None
            if node is None:
                raise KeyError(name)
        return str(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True, width=1000)).removesuffix("...\n")


def scalar(text: str) -> str:
    """Return a text as a YAML scalar that every parser reads as that text."""
    return text if _WORD.fullmatch(text) and text.lower() not in _RESERVED else json.dumps(text, ensure_ascii=False)


def indented(text: str, depth: int) -> str:
    """Indent every line by `depth` steps of two spaces."""
    return "".join(f"{'  ' * depth}{line}\n" if line else "\n" for line in text.splitlines())


def block(key: str, source: str, depth: int) -> str:
    """Return a key with the YAML of its value, on the same line if it is a scalar or in flow style."""
    body = source.rstrip("\n")
    is_block = "\n" in body or (not body.startswith(("{", "[", '"', "'")) and re.match(r"(?:- |[^\s:]+:(?:\s|\Z))", body) is not None)
    return indented(f"{key}:", depth) + indented(body, depth + 1) if is_block else indented(f"{key}: {body}", depth)
