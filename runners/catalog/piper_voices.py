"""Piper's public list of voices (`models/piper_voices.tsv`) as models of the catalog: one row and one ONNX file for each voice.

The table has the facts of `voices.json` of the package wyoming-piper: sizes, MD5 digests and speakers. `piper.toml` has the rows of which
more is known, such as SHA-256 digests or another source, and they replace those of the table.
"""

from __future__ import annotations

import csv
import unicodedata
from functools import cache
from pathlib import Path
from typing import Literal

from open_speech.backends import ModelEntry, Task, Voice
from open_speech.model_files import HubSource, WeightFile

TABLE = Path(__file__).parent / "models" / "piper_voices.tsv"
REPOSITORY = "rhasspy/piper-voices"
LOW_RATE, RATE = 16_000, 22_050
"""Sample rates in hertz of the qualities `x_low` and `low`, and of `medium` and `high`."""


@cache
def rows() -> tuple[ModelEntry, ...]:
    """Read the table: a model for each voice, in the order of the keys."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(_model(row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _model(row: dict[str, str]) -> ModelEntry:
    """Build the entry of a voice, such as `de_DE-thorsten-medium`: locale, name and quality."""
    key = row["key"]
    locale, name, quality = key.split("-")
    language, region = locale.split("_")
    id = ascii_key(key)
    speakers = tuple(filter(None, row["speakers"].split(",")))
    names = (f"speaches-ai/piper-{key}", key, *([id] if id != key else []), *filter(None, row["old_keys"].split(",")))
    label = name.replace("_", " ").title()
    count = f", {len(speakers)} speakers" if speakers else ""
    folder = f"{language}/{locale}/{name}/{quality}"
    model, config = f"{id}.onnx", f"{id}.onnx.json"
    return ModelEntry(
        id=f"piper/{id}",
        backend="piper",
        task=Task.TTS,
        licence="see the voice's MODEL_CARD",
        languages=(language,),
        description=f"{label}, {row['language']} ({row['country']}), {quality.replace('_', ' ')} quality{count}.",
        voices=(Voice(id, f"{language}-{region}", label, _gender(row["gender"]), speakers),),
        default_voice=id,
        sample_rate=LOW_RATE if quality.endswith("low") else RATE,
        files=(
            WeightFile(model, size=int(row["model_bytes"]), md5=row["model_md5"]),
            WeightFile(config, size=int(row["config_bytes"]), md5=row["config_md5"]),
        ),
        sources=(HubSource(REPOSITORY, paths={model: f"{folder}/{key}.onnx", config: f"{folder}/{key}.onnx.json"}),),
        aliases=names,
    )


def ascii_key(key: str) -> str:
    """Return a key without accents (`tugão` -> `tugao`): ids of models are names of folders, and ASCII."""
    return unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()


def _gender(name: str) -> Literal["female", "male"] | None:
    match name:
        case "female" | "male":
            return name
        case _:
            return None
