"""Reference of Python: what `blade_tune` offers, what that returns and takes, and errors, for autodoc."""

import inspect

from markup import code, escaped, table

import blade_tune
from blade_tune import errors as errors_module
from blade_tune.errors import BladeTuneError
from blade_tune.selection.confirmation import Candidate, Confirmation
from blade_tune.storage.pace import Pace
from blade_tune.trial.callback import Callback, StudySummary

BESIDE = (
    Confirmation,
    Candidate,
    Callback,
    StudySummary,
    Pace,
)  # what the public names return and take


def python_names() -> str:
    """Return a section for each public name, and for the classes that they return and take."""
    parts = []
    for name in sorted(blade_tune.__all__, key=str.lower):
        found = getattr(blade_tune, name)
        parts.append(f"## {name.strip('_').capitalize() if name.startswith('_') else name}\n")
        if inspect.isclass(found):
            # A class goes under the name that it is offered by
            found.__name__ = found.__qualname__ = name
            found.__module__ = "blade_tune"
            parts.append(_auto("autoclass", f"blade_tune.{name}", members=True))
        elif callable(found):
            found.__module__ = "blade_tune"
            parts.append(_auto("autofunction", f"blade_tune.{name}"))
        else:
            parts.append(f"{code(f'blade_tune.{name}')} is the version, as text.\n")
    parts.append("## What they return and take\n")
    for beside in BESIDE:
        parts.append(_auto("autoclass", f"{beside.__module__}.{beside.__name__}", members=True))
    return "\n".join(parts)


def errors() -> str:
    """Return a table of all errors, each with the one that it is a kind of."""
    rows = []
    for error in vars(errors_module).values():
        if isinstance(error, type) and issubclass(error, BladeTuneError):
            first = (error.__doc__ or "").partition("\n")[0]
            parent = "" if error is BladeTuneError else code(error.__mro__[1].__name__)
            rows.append((code(error.__name__), parent, str(error.exit_code), escaped(first)))
    return table(("error", "is a", "exit code", "when"), rows)


def _auto(directive: str, name: str, *, members: bool = False) -> str:
    options = "\n   :members:" if members else ""
    return f"```{{eval-rst}}\n.. {directive}:: {name}{options}\n```\n"
