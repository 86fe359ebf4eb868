"""Everything of the reference that is made from the code, as Markdown, by the name that a page asks for it."""

from collections.abc import Callable, Mapping

from reference_commands import commands, exit_codes
from reference_models import model_settings
from reference_python import errors, python_names
from reference_settings import log_file, recipes, run_settings, study_file
from reference_spaces import spaces

WRITERS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "errors": errors,
    "exit-codes": exit_codes,
    "log-file": log_file,
    "model-settings": model_settings,
    "python-names": python_names,
    "recipes": recipes,
    "run-settings": run_settings,
    "spaces": spaces,
    "study-file": study_file,
}
