"""The automatic choice of a model: families are opened, searched, confirmed and compared, and the best is exported."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from blade_tune.auto.definitions import families as families_of
from blade_tune.auto.family import Family, counted, in_order
from blade_tune.auto.finish import NUM_FITTED, Chosen, choose, confirm_best
from blade_tune.auto.schedule import Schedule
from blade_tune.auto.search import Confirming, Search
from blade_tune.auto.words import family_rows, paragraph
from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError, NothingToExportError
from blade_tune.export.ensemble import export_ensemble
from blade_tune.export.final import ExportOptions, export_best
from blade_tune.files import write_whole
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.worker_start import warm
from blade_tune.models import config_class
from blade_tune.report.comparison_page import write_comparison_report
from blade_tune.selection.automatic import AutomaticChoice
from blade_tune.selection.compare import data_directory, prepared
from blade_tune.selection.comparison_name import ComparisonName
from blade_tune.selection.runs import SHORTEST_S, RunExecutor
from blade_tune.selection.stored_comparison import StoredComparison
from blade_tune.selection.warm_sources import read_source
from blade_tune.spec.definition import StudyDefinition, max_length
from blade_tune.study.create import open_study
from blade_tune.study.warm_start import WarmSource
from blade_tune.xray.measure import Findings, xray

TellStep = Callable[[str], object]


@dataclass(frozen=True)
class Request:
    """What a user asks an automatic choice for."""

    study: str  # name or path of the study file
    models: Sequence[str]
    seeds: int  # fresh seeds of each confirmed winner
    top: int  # families that train in epochs and are confirmed
    warm_start: Sequence[str] = ()  # sources, of which each model takes those of its own
    out: Path | None = None  # folder of the bundle; None for RESULTS/STUDY.auto/bundle


@dataclass(frozen=True)
class Result:
    """The end of an automatic choice."""

    choice: Chosen
    families: Sequence[Family]
    bundle: Path
    page: Path
    metrics: Mapping[str, Any]  # of the bundle
    words: str

    @property
    def facts(self) -> dict[str, Any]:
        """The result as plain facts, which are also written to RESULTS/STUDY.auto/auto.json."""
        chosen = self.choice.chosen
        return {
            "chosen": chosen.label,
            "study": chosen.study.definition.name,
            "trial": chosen.winner.trial,
            "expected": vars(chosen.expected) if chosen.expected else None,
            "best": self.choice.best.label,
            "over_classical": _over(self.choice),
            "ensemble": self.choice.ensemble.facts if self.choice.ensemble else None,
            "test": self.metrics["test"],
            "bundle": str(self.bundle),
            "words": self.words,
            "families": family_rows(self.families),
        }


def _over(choice: Chosen) -> dict[str, Any] | None:
    if choice.over_classical is None:
        return None
    name, over = choice.over_classical
    return {"model": name, **vars(over)}


def _too_large(models: Sequence[str], data: SearchData) -> dict[str, str]:
    """Return why the data is too large, for each of some models for which it is."""
    reasons = {
        model: config_class(model).too_large(data.num_users, data.num_items) for model in models
    }
    return {model: reason for model, reason in reasons.items() if reason}


def run_auto(
    asked: Request, schedule: Schedule, executor: RunExecutor, tell: TellStep = lambda _: None
) -> Result:
    """Search families of models in a given time, choose one, and export it.

    Args:
        asked: what is asked for.
        schedule: the time that there is, from now on.
        executor: trains everything.
        tell: called with a line for each step.

    Raises:
        InterruptedStudyError: the user stopped it; the studies keep what was trained, and the same command goes on.
        NothingToExportError: no winner could be confirmed in the time.
    """
    settings = executor.settings
    sources = [read_source(text, settings.workspace) for text in asked.warm_start]
    _require_models(sources, asked.models)
    # The data, and what matters in it
    definitions = families_of(asked.study, asked.models, asked.seeds)
    data = prepared(definitions[0], settings)
    too_large = _too_large(asked.models, data)
    for reason in too_large.values():
        tell(f"left out: {reason}")
    tell("looking at the data")
    warm(executor.placements[0], asked.models[0])  # which the x-ray's time is enough for
    findings = _findings(definitions[0], data, settings.results)

    # The search
    by_model = {definition.model: definition for definition in definitions}
    models = in_order([model for model in asked.models if model not in too_large], findings)
    families = [_open(by_model[model], data, executor, sources) for model in models]
    for family in families:
        metric = family.stored.definition.objective.metric
        family.counted = counted(family.model, metric, findings)
    plan = Confirming(asked.seeds * asked.top, asked.top + NUM_FITTED)
    tell(f"searching {len(families)} models")
    Search(families, schedule, worker(executor), len(executor.placements), plan, tell).run()

    # The choice
    tell("confirming the best on fresh seeds")
    confirmed = confirm_best(families, schedule, executor, asked.seeds, asked.top)
    if not confirmed:
        raise NothingToExportError(
            f"{asked.study}: no model could be confirmed in {schedule.total_s:.0f} s; give it more time (--for), or "
            "fewer --models. What was trained is kept."
        )
    choice = choose(confirmed, schedule, executor, asked.seeds)
    name = str(ComparisonName.of_search(choice.chosen.study.definition.name))
    folder = settings.results / name
    bundle = asked.out or folder / "bundle"
    metrics = _export(choice, f"{name}-ensemble", bundle, executor, tell)
    words = paragraph(choice, families, findings, schedule)
    page = folder / "report" / "report.html"
    result = Result(choice, families, bundle, page, metrics, words)
    _write(result, name, settings)
    return result


def worker(executor: RunExecutor) -> Callable[[Family, float], None]:
    """Return the function that trains trials of a family for so many seconds."""

    def work(family: Family, seconds: float) -> None:
        timed = executor.settings.model_copy(update={"time": max(SHORTEST_S, seconds)})
        RunExecutor(timed, executor.placements, executor.callback).work(family.stored)

    return work


def _export(
    choice: Chosen, ensemble: str, bundle: Path, executor: RunExecutor, tell: TellStep
) -> dict[str, Any]:
    """Write the bundle of the chosen model or ensemble, and return its metrics.

    Args:
        choice: the choice.
        ensemble: the name that the study of an ensemble gets.
        bundle: the folder to write.
        executor: says where to train.
        tell: called with what is exported.
    """
    device = torch.device(executor.placements[0].device)
    options = ExportOptions(bundle, device, executor.settings.data)
    if choice.ensemble and choice.is_ensemble:
        tell(f"exporting an ensemble of {len(choice.ensemble.members)} runs")
        return export_ensemble(choice.ensemble, ensemble, executor, options)
    tell(f"exporting {choice.chosen.label}")
    return export_best(choice.chosen.study, options)


def _write(result: Result, name: str, settings: RunSettings) -> None:
    """Write down how the choice was made: with the searches, as auto.json, and as a page.

    Args:
        result: the end of the automatic choice.
        name: the name that its searches have in common.
        settings: where it is stored.
    """
    left = {family.model: family.left for family in result.families}
    choice = AutomaticChoice(result.choice.chosen.label, result.words, left)
    choice.store([family.stored for family in result.families])
    facts = json.dumps(result.facts, indent=2)
    write_whole(settings.results / name / "auto.json", facts.encode())
    comparison = StoredComparison.find(settings.workspace, name)
    if comparison:
        write_comparison_report(comparison, result.page.parent)


def _findings(definition: StudyDefinition, data: SearchData, results: Path) -> Findings:
    window = max_length(definition, definition.space.fixed)
    return xray(data, definition.objective.exclude, window, results)


def _require_models(sources: Sequence[WarmSource], models: Sequence[str]) -> None:
    """Raise an error for a source of a warm start that no family takes.

    Raises:
        ConfigError: there is one.
    """
    for source in sources:
        if source.model not in models:
            raise ConfigError(
                f"--warm-start {source.name}: must be of a model that is searched, and is of "
                f"{source.model or 'none that it names'}; searched are {', '.join(models)}."
            )


def _open(
    definition: StudyDefinition,
    data: SearchData,
    executor: RunExecutor,
    sources: Sequence[WarmSource],
) -> Family:
    """Open the search of a family, made where it is not stored yet."""
    settings = executor.settings
    stored = open_study(
        definition,
        data,
        settings.workspace,
        directory=data_directory(definition, settings),
        warm=[source for source in sources if source.model == definition.model],
    )
    family = Family(definition.model, stored)
    family.refresh()
    return family
