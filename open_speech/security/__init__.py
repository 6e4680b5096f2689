"""API keys, the lockout after wrong ones, networks, private files, and which models a request may download."""
