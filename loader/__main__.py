"""Lets `python -m loader` do what `loader` does."""

from loader.cli import main

main()
