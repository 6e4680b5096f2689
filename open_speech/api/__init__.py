"""The APIs of the server, one package or module each. An endpoint parses and formats; the engine does the work."""
