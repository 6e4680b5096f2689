"""ASGI middleware, one module each; `open_speech/app.py` defines their order."""
