"""Backends of other packages: the values that a package provides, their validation, and the merge of their rows into the catalog.

A package refers to a `Plugin` in an entry point of the group `open_speech.backends` (docs/backends.md).
"""

from open_speech.plugins.values import GROUP, Plugin, PluginReport, Problem

__all__ = ["GROUP", "Plugin", "PluginReport", "Problem"]
