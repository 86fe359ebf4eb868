"""A comparison of many models that nobody searched or trained, of all kinds, on both parts of the data."""

import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from blade_tune.selection.comparison import Comparisons, Contender, Pair, Told
from blade_tune.selection.comparison_name import ComparisonName
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.contrasts import Contrasts
from blade_tune.selection.expectation import expected_of_scores
from blade_tune.selection.saturation import course
from blade_tune.selection.scores import EvaluatedPart, Scores
from blade_tune.selection.statistics import holm, paired_bootstrap
from blade_tune.storage.attempts import Attempts
from blade_tune.study.stored import LABEL, StoredStudy
from blade_tune.study.verdict import Verdict
from tests.report import made_up

USERS, SEEDS = 600, 3
HITS = {  # of 600 users, how many each model has among the first ten
    "blade": 150,
    "eidp": 146,
    "blade_released": 138,
    "sasrec": 131,
    "cl4srec": 128,
    "combination": 127,
    "ials": 118,
    "item_knn": 112,
    "mb_str": 109,
    "ease": 108,
    "mbht": 104,
    "pure_svd": 97,
    "dymus": 90,
    "popularity": 66,
    "dymus_plus": 61,
}
TOLD = ("blade", "blade_released", "eidp", "mb_str")
FITTED = ("combination", "ials", "item_knn", "ease", "pure_svd", "popularity")
BASELINES = {"popularity": {"ndcg@10": 0.052}, "item_knn": {"ndcg@10": 0.093, "hr@10": 0.12}}
AGAINST = "blade"


@dataclass(frozen=True)
class MadeComparison:
    """What a page asks of a `StoredComparison`, some of whose models are still missing."""

    found: tuple[StoredStudy, ...]
    missing: dict[str, str]
    is_tested: bool = True
    name = ComparisonName("tiny")
    others: tuple[str, ...] = ()
    command = "blade-tune compare --study tiny --models all"

    @property
    def models(self) -> list[str]:
        return [stored.label for stored in self.found]

    @property
    def searches(self) -> tuple[StoredStudy, ...]:
        return self.found

    @cached_property
    def confirmations(self) -> dict[str, Confirmation]:
        """The same made-up confirmation of each, whose runs are the first trials of its search."""
        return {
            stored.label: made_up.confirmation(stored, seeds=SEEDS)
            for stored in self.found
            if stored.label not in self.missing
        }

    @property
    def contrasts(self) -> Contrasts:
        others = tuple(model for model in self.models if model != AGAINST)
        return Contrasts(AGAINST, others, "2026-11-30T10:00:00", 0, 0, 0)

    def on(self, part: EvaluatedPart) -> Comparisons | None:
        """All models but the missing ones; none on test rows where these were not opened."""
        if part == "test" and not self.is_tested:
            return None
        entries = tuple(_contender(s, part) for s in self.found if s.label not in self.missing)
        return _comparisons(entries, part, self.contrasts)


def comparison(
    searched: StoredStudy, models: tuple[str, ...] = tuple(HITS), missing: tuple[str, ...] = ()
) -> MadeComparison:
    """Some of the models, each with the trials of a made-up study."""
    studies = []
    for model in models:
        stored = made_up.in_memory(copy.deepcopy(searched.trials), searched)
        for name, value in searched.study.user_attrs.items():
            stored.study.set_user_attr(name, value)
        stored.study.set_user_attr(LABEL, model)
        data = stored.definition.data.model_copy(update={"name": "qk-video"})
        definition = replace(
            stored.definition, name=f"tiny.compare-{model}", model=model, data=data
        )
        stored = replace(stored, definition=definition)
        vars(stored)["attempts"] = Attempts(searched.storage, 0)  # none, for no database has it
        studies.append(stored)
    return MadeComparison(tuple(studies), dict.fromkeys(missing, "12 of 40 trials are scored"))


def _contender(stored: StoredStudy, part: EvaluatedPart) -> Contender:
    model = stored.label
    is_fitted = model in FITTED
    rng = np.random.default_rng([len(model), HITS[model], part == "test"])
    ranks_SU = rng.integers(10, 500, size=(1 if is_fitted else SEEDS, USERS), dtype=np.int32)
    hits = ranks_SU[:, : HITS[model]]
    hits[:] = rng.integers(0, 10, size=hits.shape)
    scores = Scores(model, rng.permuted(ranks_SU.T, axis=0).T if is_fitted else ranks_SU)
    moves = {"sets": 0.2, "told": 0.01, "order": 0.5}
    return Contender(
        label=model,
        study=stored,
        files=stored.folder.trial(0),
        winner=made_up.confirmation(seeds=SEEDS).winner,
        scores=scores,
        takes_target_set=model in TOLD,
        window=6,
        loss="" if is_fitted else "ce",
        spent={
            "trials": 200 if is_fitted else 12,
            "epochs": 900,
            "hours": 0.01 * HITS[model] / 60 if is_fitted else 0.5 + HITS[model] / 5000,
            "gpu_hours": 0.0,
        },
        course=course(stored),
        moves=moves if is_fitted else {**moves, "dropout": 0.1},
        num_rising=2 if model in ("mbht", "dymus") else 0,
        expected=expected_of_scores(scores, "ndcg@10"),
        baselines=BASELINES,
        verdict=Verdict("item_knn", 0.01, 0.001 if HITS[model] > 120 else -0.009, 0.03),
    )


def _comparisons(
    entries: tuple[Contender, ...], part: EvaluatedPart, contrasts: Contrasts
) -> Comparisons:
    reference = next(entry for entry in entries if entry.label == contrasts.against)
    others = [entry for entry in entries if entry is not reference]
    found = []
    for entry in others:
        gains = np.broadcast_arrays(*(e.scores.gains("ndcg@10") for e in (entry, reference)))
        found.append(paired_bootstrap(*gains))
    adjusted = holm([each.p_value for each in found])
    pairs = zip(others, found, adjusted, strict=True)
    thirds = np.arange(USERS) % 3
    told = Told("eidp", "mode", "nothing", reference.scores, found[0], 0.5, None, None, None)
    return Comparisons(
        "ndcg@10",
        part,
        tuple(sorted(entries, key=lambda entry: -entry.scores.estimate("ndcg@10").mean)),
        tuple(Pair(e.label, reference.label, each, p) for e, each, p in pairs),
        {name: thirds == third for third, name in enumerate(("low", "middle", "high"))},
        "is told the behavior set of the item to predict, or its label",
        "protocol: loss ce, recipe shared, budget 60 trials, 3 fresh seeds, test rows never opened",
        told=(told,),
        contrasts=contrasts,
    )
