"""ASGI middleware, one module each; `open_speech/app.py` puts them in order."""
