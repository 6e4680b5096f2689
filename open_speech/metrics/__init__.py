"""Figures for Prometheus: what is counted (figures), where things happen (meter), what is asked for at a scrape (scrape, backends)."""
