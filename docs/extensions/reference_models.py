"""Reference of models: what each is, and its settings, those that many share in tables of their own."""

import re
from collections.abc import Sequence

from markup import anchor, code, escaped, link, table
from reference_settings import HEADS, rows_of

from blade_tune.models import MODELS, config_class
from blade_tune.models.settings.base import ModelConfig
from blade_tune.report.models import model_rows


def model_settings() -> str:
    """Return a table of all models, the settings that many share, and a section a model."""
    parts = [
        table(
            ("model", "what it is", "paper", "trained", "reads", "is told"),
            [
                (
                    link(row["model"]),
                    escaped(row["what"]),
                    escaped(row["paper"] or ""),
                    row["kind"],
                    row["reads"],
                    row["told"],
                )
                for row in model_rows()
            ],
        ),
        "## Settings that many share\n",
    ]
    for shared in _shared():
        about = " ".join((shared.__doc__ or "").split("\n\n")[0].split())
        parts += [f"### {_heading(shared)}\n", f"{escaped(about)}\n"]
        parts += [table(HEADS, rows_of(shared, _own(shared)))]
    parts += ["## Settings of each model\n"]
    for row in model_rows():
        parts += _section(row["model"], row["what"], row["spaces"])
    return "\n".join(parts)


def _section(model: str, what: str, spaces: Sequence[str]) -> list[str]:
    settings = config_class(model)
    links = ", ".join(link(name, "spaces.md") for name in spaces)
    parts = [f"### {model}\n", f"{escaped(what)} Search spaces: {links}.\n"]
    own = _own(settings)
    if own:
        parts += [table(HEADS, rows_of(settings, own))]
    parts += [f"{'And' if own else 'It has'} {_others(settings)}.\n"]
    for name, reason in getattr(settings, "refused", {}).items():
        parts += [f"It refuses {code(name)}: {escaped(reason)}.\n"]
    return parts


def _others(settings: type[ModelConfig]) -> str:
    """Return links to the settings that a model has from elsewhere."""
    links = []
    for base in _bases(settings)[1:]:
        models = [name for name in MODELS if config_class(name) is base]
        heading, words = _heading(base), _heading(base).lower()
        if models:
            heading, words = models[0], f"settings of {code(models[0])}"
        links.append(f"[{words}](#{anchor(heading)})")
    return ", ".join(links)


def _shared() -> list[type[ModelConfig]]:
    """Return the classes that settings of models are made of and that are not one model's, widest first."""
    of_models = {config_class(name) for name in MODELS}
    found = dict.fromkeys(base for name in MODELS for base in reversed(_bases(config_class(name))))
    return [base for base in found if base not in of_models]


def _bases(settings: type[ModelConfig]) -> list[type[ModelConfig]]:
    """Return a class and those below it that declare settings of models."""
    return [base for base in settings.__mro__ if issubclass(base, ModelConfig)]


def _own(settings: type[ModelConfig]) -> set[str]:
    """Return the fields that a class declares itself, or declares anew."""
    return set(settings.model_fields) & set(vars(settings).get("__annotations__", {}))


def _heading(settings: type[ModelConfig]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", settings.__name__.removesuffix("Config"))
    return f"{words.capitalize()} settings"
