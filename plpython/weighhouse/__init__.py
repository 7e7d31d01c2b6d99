"""The arithmetic of Weighhouse: runs inside PostgreSQL, is imported and tested without it."""
