"""What the paper leaves ambiguous, searched once on BLADE alone: every configuration, and what each choice does.

The study searches `search_spaces/blade-resolution.yaml` by grid, without pruning; a grid that is not finished is a
random part of it, since a grid is tried in seeded order. Effects are those of an additive model (ordinary least
squares), in which each choice is averaged over all others:

    blade-tune run --study studies/qk-video-resolution.yaml --data DIR
    python benchmarks/resolution.py --study qk-video-resolution

Run again it reads the stored study only.
"""

import argparse
from pathlib import Path

import pandas as pd
import statsmodels.formula.api as smf
from optuna.trial import TrialState

from blade_tune.selection.statistics import holm
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace

CHOICES = ("set_softmax", "init", "ffn_multiple", "cross_residual", "contrast_on")


def trials_of(stored: StoredStudy) -> pd.DataFrame:
    """A row a completed configuration."""
    rows = []
    for trial in stored.trials:
        if trial.state != TrialState.COMPLETE:
            continue
        values = {name.partition(".")[2]: value for name, value in stored.values(trial).items()}
        softmax = values.pop("set_softmax")
        factors = values.pop("factor_init", None)
        attrs = trial.user_attrs
        figures = {name: attrs[f"valid.{name}"] for name in ("ndcg@5", "hr@5", "ndcg@10", "hr@10")}
        cost = {name: attrs[name] for name in ("best_epoch", "epochs", "seconds", "seed")}
        which = f"{softmax}+{factors}" if factors else softmax
        rows.append({"trial": trial.number, "set_softmax": which, **values, **figures, **cost})
    return pd.DataFrame(rows).sort_values("trial")


def effects_of(trials: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row a level of each choice: its mean, and its difference from the first level with a 95% interval.

    `p_holm` is corrected over all differences of the table.
    """
    table = trials.rename(columns={metric: "value"})
    fit = smf.ols("value ~ " + " + ".join(f"C({choice})" for choice in CHOICES), table).fit()
    low_high, rows = fit.conf_int(), []
    for choice in CHOICES:
        for level, group in table.groupby(choice):
            name = f"C({choice})[T.{level}]"
            row = {
                "choice": choice,
                "level": level,
                "configurations": len(group),
                "mean": group["value"].mean(),
            }
            if name in fit.params:
                low, high = low_high.loc[name]
                row |= {
                    "difference": fit.params[name],
                    "low": low,
                    "high": high,
                    "p": fit.pvalues[name],
                }
            rows.append(row)
    effects = pd.DataFrame(rows)
    tested = effects["p"].notna()
    effects.loc[tested, "p_holm"] = holm(effects.loc[tested, "p"].tolist())
    return effects


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", default="qk-video-resolution")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--storage", help="database; default: RESULTS/studies.db")
    parser.add_argument("--out", type=Path, default=Path("results/paper"))
    options = parser.parse_args()
    stored = Workspace.at(options.storage, options.results).study(options.study)
    trials = trials_of(stored)
    effects = effects_of(trials, stored.definition.objective.metric)
    for name, table in (("trials", trials), ("effects", effects)):
        path = options.out / f"{options.study}-{name}.csv"
        table.to_csv(path, index=False, lineterminator="\n", float_format="%.6g")
        print(f"{path}\n{table.to_string(index=False)}\n")


if __name__ == "__main__":
    main()
