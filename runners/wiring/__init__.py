"""Settings -> parts: the engine over the backends that are placed, discovery of other servers, and the BentoML services."""
