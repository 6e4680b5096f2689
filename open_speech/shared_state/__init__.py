"""State that several servers behind one address share through a Redis or Valkey server; in memory without one."""
