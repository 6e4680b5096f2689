"""Metrics for Prometheus: their definitions (figures), the recording of events (meter), and those collected at a scrape (backends)."""
