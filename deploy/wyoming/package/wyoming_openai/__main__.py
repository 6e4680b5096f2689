"""`python -m wyoming_openai` with the flags and environment variables of wyoming_openai: the command `open-speech wyoming`."""

import sys
from importlib import metadata

from open_speech.cli import main


def run() -> None:
    """Run `open-speech wyoming` with the arguments of this process. Exit with 2 if the package `wyoming-openai` is installed as well."""
    try:
        version = metadata.version("wyoming-openai")
    except metadata.PackageNotFoundError:
        main(["wyoming", *sys.argv[1:]], prog_name="open-speech")
    else:
        # Both packages own the files of this module: which of them is here depends on the order of installation.
        sys.stderr.write(
            f"wyoming-openai {version} is installed in this environment, and its files are mixed with those of open-speech-wyoming-openai. "
            "Remove both, then install the one that you want: pip uninstall wyoming-openai open-speech-wyoming-openai\n"
        )
        sys.exit(2)


if __name__ == "__main__":
    run()
