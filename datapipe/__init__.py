"""Market data into PostgreSQL."""
