"""Backends of other packages: what a package hands over, what is wrong with it, and how its rows join the catalog.

A package names a `Plugin` in an entry point of the group `open_speech.backends` (docs/backends.md).
"""

from open_speech.plugins.values import GROUP, Plugin, PluginReport, Problem

__all__ = ["GROUP", "Plugin", "PluginReport", "Problem"]
