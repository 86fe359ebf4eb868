"""Numbers about a study as plain tables."""
