"""Tasks, blocking iterators, graceful shutdown, and places that are shared fairly between API keys."""
