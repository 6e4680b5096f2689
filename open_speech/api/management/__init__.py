"""The APIs for model management: `api_models.py`, and `ollama.py` for clients of Ollama."""
