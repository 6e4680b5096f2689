"""Composition from the settings: the engine with its backends, the discovery of models on other servers, and the BentoML services."""
