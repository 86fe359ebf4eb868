"""Program `blade-tune`: its commands in their sections, and how errors end it."""

import io
import logging
import sys

import click

from blade_tune.about import __version__
from blade_tune.cli.groups import InSections
from blade_tune.errors import BladeTuneError, InterruptedStudyError
from blade_tune.redact import redacted


@click.group(
    cls=InSections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="blade-tune")
def blade_tune() -> None:
    """Tune recommenders of behavior-set sequences so that the results can be trusted.

    A study is a model, a data set, a search space and a budget. It can be stopped and run again at any time; test rows
    stay sealed until export-best or --test. Settings can also be in ./blade-tune.yaml or BLADE_TUNE_<SETTING>.

    \b
    Example:
      blade-tune run --study demo --trials 20
    """  # noqa: D301 - click's \b keeps the example's lines


blade_tune.add_sections(
    "blade_tune.cli",
    {
        "See what there is, bring your own data": ("data", "models", "space", "study"),
        "Run a study": ("auto", "run", "worker", "stop"),
        "Watch it": ("studies", "status", "trials", "show"),
        "Confirm the winner and use it": (
            "confirm",
            "ensemble",
            "export-best",
            "recommend",
            "serve",
            "retrain",
        ),
        "Compare models and effects": ("power", "compare", "ablate", "sweep"),
        "Report and check": ("report", "dashboard", "reproduce", "ledger"),
        "Look after the machine and its databases": ("doctor", "storage"),
    },
)


class StderrHandler(logging.Handler):
    """A logging handler that looks up stderr for each record: a live view replaces it to keep lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to stderr, without secrets."""
        # Not by click, which takes the stream that a live view puts in the place of stderr for one of no encoding, and
        # writes past it.
        if sys.stderr is not None:  # else it was closed
            sys.stderr.write(f"{redacted(self.format(record))}\n")


def run_program() -> None:
    """Run the program; a BladeTuneError ends it with one message on stderr and the error's exit code."""
    handler = StderrHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("blade_tune")
    # Handlers that other modules add get INFO too, which this one does not show.
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        sys.exit(blade_tune(prog_name="blade-tune", standalone_mode=False))
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(redacted(shown.getvalue()), nl=False, err=True)  # it may repeat what was typed
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C where nothing has to be stored first
        sys.exit(InterruptedStudyError.exit_code)
    except BladeTuneError as error:
        click.echo(f"Error: {redacted(str(error))}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # a folder that cannot be written, a full disk
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"Error: {redacted(f'{place}{error.strerror or error}')}", err=True)
        sys.exit(BladeTuneError.exit_code)
