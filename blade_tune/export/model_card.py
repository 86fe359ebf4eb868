"""Model card of a bundle: what the model is for, the data it was trained on, how it was chosen, and its figures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from blade_tune.export.bundle import Bundle
from blade_tune.metrics import CUTOFFS, by_cutoff
from blade_tune.models import config_class
from blade_tune.selection.out_of_bag import Expected
from blade_tune.study.verdict import below_untuned
from blade_tune.study.warm_start import origin_words

SHOWN = by_cutoff(*CUTOFFS)

CHOSEN = {
    "confirmed": "the configuration with the highest mean over fresh seeds, among the top of the search",
    "best": "the best trial of the search, which nothing confirmed: its validation value is too high on average",
    "1se": "the smallest configuration that cannot be told from the winner",
}

PARTS = """{title}

## Intended use

Ranks items for a user by the history of interactions, each an item with a set of behaviors ({behaviors}), and by the
behaviors that are hoped for. Made for data like the one it was trained on; users it never met get the mean preference
of all others, items it never met are left out of histories and never recommended. It was measured offline, on the last
interaction of each user, which says nothing of what users do with what is recommended. It was not examined for fairness
between groups of users or items.

```sh
blade-tune recommend --bundle DIR --users FILE --target {targets} -k 10
```

## Data

{data}

Rows before a user's last but one target interaction are train, that one is valid, the last one test; the test rows were
sealed until the choice was made.

## How it was made

{making}

{settings}

## Figures

{figures}

{expected}{verdict}

Intervals are 95%, over users (Student's t), for this one training: {seeds}.{protocol}
{history}"""

RETRAINED = """
## Bundles before it

Trained again on newer rows, by the configuration, the seed and the number of epochs of the first of these bundles. On
the same {rows:,} {judged_on} rows its {metric} is {new:.4f} and that of the model before it {earlier:.4f}:
{difference} (95%, paired by user).

{table}
"""


def model_card(bundle: Bundle) -> str:
    """Return the model card of a bundle in Markdown."""
    catalog = bundle.catalog
    targets = [name for k, name in enumerate(catalog.behaviors) if k not in catalog.auxiliary]
    settings = list(bundle.values.items())
    is_seeded = config_class(bundle.model_name).is_seeded
    return PARTS.format(
        title=f"# {bundle.model_name} on {bundle.provenance['data']['name']}",
        behaviors=", ".join(bundle.log.behaviors),
        targets=",".join(targets),
        data=_data(bundle),
        making=_making(bundle.provenance),
        settings=tabulate(settings, ("setting", "value"), "github", disable_numparse=True),
        figures=_figures(bundle.metrics),
        expected=_expected(bundle.metrics),
        verdict=_verdict(bundle.metrics),
        seeds=f"another seed gives {'other figures' if is_seeded else 'the same model'}",
        protocol=_protocol(bundle),
        history=_history(bundle),
    )


def _data(bundle: Bundle) -> str:
    catalog, provenance = bundle.catalog, bundle.provenance
    counts = zip(catalog.behaviors, catalog.behavior_counts_K, strict=True)
    auxiliary = [catalog.behaviors[column] for column in catalog.auxiliary]
    return _facts(
        {
            "data set": provenance["data"]["name"],
            "license of the data": provenance["data"]["license"],
            "users": f"{catalog.num_users:,}",
            "items": f"{catalog.num_items:,}",
            **{f"train rows with {name}": f"{count:,}" for name, count in counts},
            "auxiliary behavior": ", ".join(auxiliary) or "none",
            "hash of train and valid": provenance["data_hash"],
            "hash of between and test": provenance["sealed_hash"],
        }
    )


def _chosen(provenance: Mapping[str, Any]) -> str:
    """Return by which rule a trial was chosen; of an ensemble, how its members were."""
    found = provenance["ensemble"]
    if found is None:
        return f"{provenance['rule']}: {CHOSEN[provenance['rule']]}"
    drawn = ", ".join(f"{name} {count}" for name, count in found["members"].items())
    return (
        f"ensemble: members by greedy selection on valid rows, drawn {drawn} times; {found['metric']} minus that of "
        f"{found['single']} alone for users that had no part in the choice: {found['difference']:+.4f} "
        f"({found['low']:+.4f} to {found['high']:+.4f})"
    )


def _making(provenance: Mapping[str, Any]) -> str:
    ledger, members = provenance["ledger"], provenance["members"]
    warm = provenance["warm_start"]
    versions = [f"{name} {number}" for name, number in provenance["versions"].items()]
    return _facts(
        {
            "study": provenance["study"],
            "chosen": _chosen(provenance),
            "trial": f"{provenance['trial']} (trained as {provenance['trained_as']})",
            **({"members": ", ".join(members)} if members else {}),
            **({"warm start": f"from {origin_words(warm)}"} if warm else {}),
            "epochs": provenance["epochs"] or "none, it is fitted at once",
            "trained on": "train and valid rows" if provenance["with_valid"] else "train rows",
            "protocol": provenance["protocol"].removeprefix("protocol: "),
            "seed of the training": provenance["training_seed"],
            "seed of the study": provenance["study_seed"],
            "test rows opened by": f"line {ledger['lines']} of {_ledger_of(ledger)}, {ledger['hash']}",
            "versions": ", ".join(versions),
            "commit": provenance["commit"] or "unknown",
            "device": provenance["device"],
            "when": provenance["created"],
        }
    )


def _ledger_of(ledger: Mapping[str, Any]) -> str:
    """Return in words which ledger has the line by which test rows were opened."""
    return (
        f"{Path(ledger['file']).name} beside the bundle"
        if "file" in ledger
        else "the study's ledger"
    )


def _history(bundle: Bundle) -> str:
    """Return a section on the bundles before a retrained one; empty for a bundle of a study."""
    before = bundle.provenance.get("history")
    if not before:
        return ""
    rows = []
    for entry in before:
        counts = entry["rows"] or {}
        figures = [_cell(entry[part]) for part in ("valid", "test")]
        trained = f"{counts['train']:,}" if counts else "unknown"
        rows.append(
            (entry["digest"][:12], entry["created"], entry["data_hash"][:12], trained, *figures)
        )
    metric = bundle.metrics["metric"]
    columns = ("bundle", "when", "data", "train rows", f"valid {metric}", f"test {metric}")
    compared = bundle.metrics["comparison"]
    difference = "{difference:+.4f} ({low:+.4f} to {high:+.4f})".format(**compared["difference"])
    table = tabulate(rows, columns, "github", disable_numparse=True)
    return RETRAINED.format(**{**compared, "difference": difference, "table": table})


def _cell(figure: float | None) -> str:
    return "none" if figure is None else f"{figure:.4f}"


def _figures(metrics: Mapping[str, Any]) -> str:
    valid, baselines = metrics["valid"] or {}, metrics["baselines"]
    rows = []
    for name in SHOWN:
        low, high = metrics["test_intervals"][name]
        interval = "unknown" if low is None else f"{low:.4f} to {high:.4f}"
        reached = [f"{figures[name]:.4f}" for figures in baselines.values()]
        shown = f"{valid[name]:.4f}" if name in valid else "none"
        rows.append((name, shown, f"{metrics['test'][name]:.4f}", interval, *reached))
    columns = ("metric", "valid", "test", "interval", *baselines)
    return tabulate(rows, columns, "github", disable_numparse=True)


def _expected(metrics: Mapping[str, Any]) -> str:
    """Return what to expect of a confirmed winner for other users, as a paragraph; empty where it is not known."""
    found = metrics.get("expected")  # not in bundles of earlier versions
    if not found:
        return ""
    return (
        f"On valid rows of other users and trained on other seeds, expect {metrics['metric']} {Expected(**found)}: the "
        f"mean over fresh seeds less {found['owed']:.4f}, which the configuration owes to having been chosen on the "
        "valid rows of these users (out of bag, 95%).\n\n"
    )


def below_untuned_on_test(metrics: Mapping[str, Any]) -> str:
    """Return a sentence that names the untuned baselines above a model on the test rows; empty if there is none.

    Args:
        metrics: metrics of a bundle, as in its `metrics.json`.
    """
    metric = metrics["metric"]
    reached = {name: figures[metric] for name, figures in metrics["baselines"].items()}
    return below_untuned(f"the model's {metric} on test rows", metrics["test"][metric], reached)


def warning_of(folder: Path) -> str:
    """Return a sentence that names the untuned baselines above a written bundle's model; empty if there is none.

    Also empty for a bundle of an earlier version, which did not measure baselines.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if not {"metric", "baselines", "test"} <= metrics.keys():
        return ""
    return below_untuned_on_test(metrics)


def _verdict(metrics: Mapping[str, Any]) -> str:
    """Return the card's words on whether the model is better than a baseline that is fitted in seconds."""
    verdict, warning = metrics["verdict"], below_untuned_on_test(metrics)
    loud = f"**WARNING: {warning}**\n\n" if warning else ""
    if verdict is None:
        none = "No baseline says what an untuned model of co-occurrence reaches here: there are too many items for it."
        return loud + none
    return (
        f"{loud}On the test rows this model is **{verdict['words']}**, its {metrics['metric']} minus that of the "
        "baseline at its defaults, paired by user, with its 95% interval."
    )


def _protocol(bundle: Bundle) -> str:
    told = bundle.metrics["told"] or "is not told the behaviors of the item to predict"
    users, misses = bundle.metrics["test_users"], bundle.metrics["unhittable"]
    return (
        f" Test figures are means over {users:,} users, {misses:,} of whom cannot be hit, for their item is excluded. "
        f"The model {told}. The table also has untuned models: "
        f"{', '.join(bundle.metrics['baselines'])}; `metrics.json` has the other protocols."
    )


def _facts(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())
