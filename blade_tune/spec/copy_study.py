"""A study file for people to edit, made of another: its own text, with a comment above each section."""

import re
from pathlib import Path

from blade_tune.errors import ConfigError
from blade_tune.spec.catalog import StudySource, available
from blade_tune.spec.definition import NAME, OF_RUNS, StudyDefinition
from blade_tune.spec.study_file import StudyFile
from blade_tune.spec.template import write_new

SECTION = re.compile(r"([a-z_]+):")
# What people may want to write into sections that a file leaves out, by section
EXAMPLES = {
    "recipe": "shared",
    "objective": "{metric: ndcg@10, exclude: window, target_set: truth}",
    "train": "{max_epochs: 100, eval_every: 5, patience: 5}",
    "search": "{trials: 50, sampler: tpe, seed: 2026}",
    "run": "{workers: 2, trial_time: 2h}",
}


def copy_study(folder: Path, name: str, source: str) -> tuple[Path, Path]:
    """Write a study file that begins as a copy of another.

    Args:
        folder: the folder of the new file.
        name: the name of the new study.
        source: the other, a name in ./studies or in the package, or a path.

    Returns:
        The paths of the new and of the other file.

    Raises:
        ConfigError: the new file exists, its name is none for a study, or the other file is missing or broken.
    """
    check_name(name, "NAME")
    path = folder / f"{name}.yaml"
    if path.exists():
        raise ConfigError(
            f"{path}: is there already and is left alone; edit it, or take another name."
        )
    other = StudySource.read(source)
    # A copy in another folder may not find a space that the file names by its path.
    StudyDefinition.load(StudySource(path, other.content))
    if not write_new(path, commented(other, name)):
        raise ConfigError(f"{path}: was written by somebody else just now, and is left alone.")
    return path, other.path


def check_name(name: str, place: str) -> None:
    """Refuse a name that no study may have.

    Raises:
        ConfigError: the message has the rule.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{place}: a study's name has only letters, digits, '.', '_' and '-', got {name!r}."
        )
    if name.endswith(OF_RUNS):
        raise ConfigError(f"{place}: names that end with {OF_RUNS} are those of confirmed runs.")


def variant_name(name: str, source: StudySource) -> str:
    """Return the name that a user gives to a variant of a study file, after checking it.

    Raises:
        ConfigError: no study may have the name, or another study file has it.
    """
    check_name(name, "--name")
    other = available("studies").get(name)
    if other and other.resolve() != source.path.resolve():
        raise ConfigError(f"--name: {other} is the study file of {name}; take another name.")
    return name


def commented(source: StudySource, name: str) -> str:
    """Return the text of a study file with a comment above each section, and missing sections as comments.

    Args:
        source: the study file.
        name: the name of the study that is made of it.
    """
    opening = [
        f"# Study {name}, begun as a copy of {source.path.stem}; yours to edit. docs/studies.md has every key.",
        f"# Try it without running anything: blade-tune run --study {name} --dry-run",
        "",
    ]
    lines = []
    for line in source.path.read_text(encoding="utf-8").splitlines():
        section = SECTION.match(line)
        if section and (words := _words(section[1])):
            lines.append(f"# {section[1]}: {words}")
        lines.append(line)
    missing = []
    for section_name, example in EXAMPLES.items():
        if section_name not in source.content:
            missing += [
                f"# {section_name}: {_words(section_name)}",
                f"# {section_name}: {example}",
            ]
    if missing:
        missing = ["", "# Sections that are left at their defaults, with an example each", *missing]
    return "\n".join([*opening, *lines, *missing]) + "\n"


def _words(section: str) -> str:
    """Return what a section of a study file is, as its class says it; empty for what is none."""
    field = StudyFile.model_fields.get(section)
    return (field.description or "") if field else ""
