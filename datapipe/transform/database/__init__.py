"""PostgreSQL as this room sees it: names, statements, what is there."""
