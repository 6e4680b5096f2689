"""Every way in: one package or module for each API. An endpoint parses and formats; the engine does the work."""
