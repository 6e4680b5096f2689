"""Print the JSON Schema of a model index: `python -m open_speech.model_indexes > docs/model-index.schema.json`."""

import json
import sys

from open_speech.model_indexes.schema import json_schema

if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=1) + "\n")
