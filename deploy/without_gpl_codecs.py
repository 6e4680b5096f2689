#!/usr/bin/env python3
"""Replaces the video encoders x264 and x265, which are GPL, in an installed PyAV: `without_gpl_codecs.py SITE_PACKAGES`.

The server never encodes video, but libavcodec of PyAV's wheel does not load without the two libraries. Each is replaced by one of the same
name that contains the same functions, which do nothing and return zero: then libavcodec reports that such an encoder cannot be opened.
Needs a C compiler and `nm`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

DATA = {"x264_levels"}
"""Symbols that are tables: they are empty."""


def replace(folder: Path) -> list[str]:
    """Replace the libraries in `folder`, which is `av.libs`; return their names. Raises CalledProcessError if a tool fails."""
    (avcodec,) = folder.glob("libavcodec-*")
    listed = subprocess.run(["nm", "-D", "--undefined-only", str(avcodec)], capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-1] for line in listed.splitlines() if line.strip()]
    libraries = sorted(path for prefix in ("x264", "x265") for path in folder.glob(f"lib{prefix}-*.so*"))
    for library in libraries:
        prefix = library.name.removeprefix("lib").partition("-")[0] + "_"
        _build(library, [name for name in symbols if name.startswith(prefix)])
    return [library.name for library in libraries]


def _build(library: Path, symbols: list[str]) -> None:
    lines = [f"const char {name}[64];" if name in DATA else f"void *{name}(void) {{ return 0; }}" for name in symbols]
    with tempfile.TemporaryDirectory() as work:
        source, built = Path(work, "empty.c"), Path(work, "empty.so")
        source.write_text("\n".join(lines) + "\n", encoding="ascii")
        subprocess.run(["cc", "-shared", "-fPIC", "-Os", f"-Wl,-soname,{library.name}", "-o", str(built), str(source)], check=True)
        library.unlink()
        library.write_bytes(built.read_bytes())


if __name__ == "__main__":
    replaced = replace(Path(sys.argv[1], "av.libs"))
    if not replaced:
        sys.exit("PyAV has neither x264 nor x265 here.")
    sys.stdout.write(f"replaced {', '.join(replaced)}\n")
