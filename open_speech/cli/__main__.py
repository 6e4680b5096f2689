"""`python -m open_speech.cli`: the command where its package lies but is not installed, as in a Bento's image."""

from open_speech.cli import main

main(prog_name="open-speech")
