"""`python -m open_speech.cli`: the command line for a package that is present but not installed, as in a Bento's image."""

from open_speech.cli import main

main(prog_name="open-speech")
