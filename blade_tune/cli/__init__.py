"""The command line: each command parses, calls one library function and prints.

Modules here import the library inside their commands, so that `--help` loads neither torch nor optuna.
"""
