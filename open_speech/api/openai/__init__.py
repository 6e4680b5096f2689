"""The OpenAI API: audio and model endpoints, their bodies and errors. Parses requests and formats responses; the engine does the work."""
