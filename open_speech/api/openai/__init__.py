"""The OpenAI door: its audio and model endpoints, bodies and errors. Parses and formats; the engine does the rest."""
