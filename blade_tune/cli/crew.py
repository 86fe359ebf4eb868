"""Who trains for a command that needs runs: settings resolved, workers placed, progress watched."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blade_tune.selection.runs import Crew
    from blade_tune.study.stored import StoredStudy


@contextmanager
def hired(study: str, flags: Mapping[str, Any], quiet: bool) -> "Iterator[Crew]":
    """A crew for a study, as flags, files and environment have it."""
    from blade_tune.cli.progress import watch
    from blade_tune.fleet.devices import assign
    from blade_tune.fleet.precedence import resolve
    from blade_tune.selection.runs import Crew

    settings = resolve(flags, study).settings
    with watch(quiet) as observer:
        yield Crew(settings, assign(settings), observer)


def stored_for(study: str, crew: "Crew") -> "StoredStudy":
    """The stored study that a crew works for."""
    from blade_tune.study.storage import await_database, resolve_url
    from blade_tune.study.stored import StoredStudy

    settings = crew.settings
    url = resolve_url(settings.storage, settings.results)
    await_database(url)
    return StoredStudy.load(study, url, settings.results)
