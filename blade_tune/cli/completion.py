"""Completion of names in a shell: studies, models, spaces and trials, fast, without a word where something is wrong."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

import click
from click.shell_completion import CompletionItem

Items = list[CompletionItem]
Completer = Callable[[click.Context, click.Parameter, str], Items]
# What a shell takes as one word; other names, such as those of other programs' studies, are not offered.
PLAIN = re.compile(r"[\w.+-]+")


def _quiet(names: Callable[[click.Context], Iterable[tuple[str, str | None]]]) -> Completer:
    """Return a completer of names that begin as what was typed; of a path, it leaves the completion to the shell.

    Whatever goes wrong, nothing is offered and nothing is printed, for the line that is being typed must stay whole.

    Args:
        names: returns pairs of a name and what is said of it.
    """

    @wraps(names)
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
        if "/" in incomplete:
            return [CompletionItem(incomplete, type="file")]
        before = logging.root.manager.disable
        logging.disable()
        try:
            found = names(ctx)
            return [
                CompletionItem(name, help=words)
                for name, words in found
                if name.startswith(incomplete) and PLAIN.fullmatch(name)
            ]
        # Of any kind: a damaged database, a file that is no YAML, a server that is away
        except Exception:
            return []
        finally:
            logging.disable(before)

    return complete


def _place(ctx: click.Context) -> Any:
    """Return the run settings by what was typed so far, by files and environment, for `storage` and `results`."""
    from blade_tune.fleet.precedence import resolve

    typed: Mapping[str, Any] = ctx.params
    return resolve({name: typed.get(name) for name in ("storage", "results")}).settings


@_quiet
def complete_stored(ctx: click.Context) -> list[tuple[str, str | None]]:
    """Complete names of stored studies."""
    from blade_tune.storage.names import stored_names

    settings = _place(ctx)
    return [(name, None) for name in stored_names(settings.storage, settings.results)]


@_quiet
def complete_result(ctx: click.Context) -> list[tuple[str, str | None]]:
    """Complete names of stored studies and of the comparisons that they are searches of."""
    from blade_tune.selection.comparison_name import ComparisonName
    from blade_tune.storage.names import stored_names

    settings = _place(ctx)
    names = stored_names(settings.storage, settings.results)
    comparisons = filter(None, map(ComparisonName.of_search, names))
    return [(name, None) for name in dict.fromkeys([*names, *map(str, comparisons)])]


@_quiet
def complete_files(_: click.Context) -> list[tuple[str, str | None]]:
    """Complete names of study files."""
    from blade_tune.spec.catalog import available

    return [(name, str(path)) for name, path in available("studies").items()]


def complete_study(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Complete names of stored studies and of study files, each once."""
    items = complete_stored(ctx, param, incomplete) + complete_files(ctx, param, incomplete)
    return list({item.value: item for item in items}.values())


@_quiet
def complete_model(_: click.Context) -> list[tuple[str, str | None]]:
    """Complete names of models."""
    from blade_tune.models import MODELS
    from blade_tune.registry import headline

    return [(name, headline(MODELS, name)) for name in MODELS]


def _listed(complete: Completer) -> Completer:
    """Return a completer of the last of several names that are separated by commas, each offered once."""

    def complete_list(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        head, comma, last = incomplete.rpartition(",")
        taken = head.split(",")
        return [
            CompletionItem(f"{head}{comma}{item.value}", help=item.help)
            for item in complete(ctx, param, last)
            if item.value not in taken
        ]

    return complete_list


complete_models = _listed(complete_model)
complete_results = _listed(complete_result)
complete_members = _listed(complete_stored)


@_quiet
def complete_space(_: click.Context) -> list[tuple[str, str | None]]:
    """Complete names of search spaces."""
    from blade_tune.spec.catalog import available

    return [(name, str(path)) for name, path in available("search_spaces").items()]


@_quiet
def complete_trial(ctx: click.Context) -> list[tuple[str, str | None]]:
    """Complete numbers of the trials of the study that was typed before."""
    from blade_tune.storage.names import stored_trials

    settings, study = _place(ctx), ctx.params.get("study")
    if not study:
        return []
    found = stored_trials(settings.storage, settings.results, study)
    return [(str(number), words) for number, words in found]
