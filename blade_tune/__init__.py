"""Hyperparameter studies for behavior-set sequential recommendation whose results can be trusted.

In Python: `open_study` opens a stored study as a `Study`, and `Recommender` loads a final model. Both are loaded when
they are first asked for, so `import blade_tune` alone takes no time.
"""

# Type checkers take it for true; the import of `typing` would be half of the time that the program's start takes
TYPE_CHECKING = False

if TYPE_CHECKING:
    from blade_tune.about import __version__
    from blade_tune.export.recommender import Recommender
    from blade_tune.notebook import OpenedStudy as Study
    from blade_tune.notebook import open_study

__all__ = ["Recommender", "Study", "__version__", "open_study"]

# Name -> module and object, loaded at the first use of the name
LAZY = {
    "Recommender": ("blade_tune.export.recommender", "Recommender"),
    "Study": ("blade_tune.notebook", "OpenedStudy"),
    "__version__": ("blade_tune.about", "__version__"),
    "open_study": ("blade_tune.notebook", "open_study"),
}


def __getattr__(name: str) -> object:
    """Load one of the names that are not loaded with the package."""
    from importlib import import_module

    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = LAZY[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *LAZY})
