"""The text front end: clean-up, normalization, SSML, pronunciation and chunking. Pure."""
