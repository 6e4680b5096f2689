"""`python -m wyoming_openai`, served by Open Speech. Not the package `wyoming-openai`: it has no other API than its command line."""
