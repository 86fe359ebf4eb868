"""Entry point of `python -m blade_tune`, which is the same program as the `blade-tune` command."""

from blade_tune.cli.main import main

main()
