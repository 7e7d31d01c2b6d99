"""Repeatable measurements against peers: `python -m bench` runs all and writes the table."""
