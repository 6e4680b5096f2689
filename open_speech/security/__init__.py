"""API keys, the lockout after wrong keys, networks, private files, and the policy for model downloads."""
