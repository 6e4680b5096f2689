"""The doors through which models are looked after: `api_models.py`, and `ollama.py` for those who speak Ollama's dialect."""
