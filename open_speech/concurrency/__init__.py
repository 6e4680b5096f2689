"""Task groups, blocking iterators, graceful shutdown, and slots that are shared between API keys."""
