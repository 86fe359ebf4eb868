"""Command line of the program: each command parses its options, calls one library function and prints the result.

Modules here import most of the library inside their commands, so that `--help` loads neither torch nor Optuna.
"""
