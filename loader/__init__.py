"""Command line program of Weighhouse: brings files in, migrates the database, looks after it."""

__version__ = "0.1.0"
