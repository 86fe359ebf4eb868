"""Lets `python -m blade_tune` do what `blade-tune` does."""

from blade_tune.cli.main import main

main()
