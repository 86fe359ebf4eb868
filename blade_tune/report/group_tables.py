"""Groups of users in tables: their figures, and whether a difference between models depends on the group."""

from collections.abc import Sequence

from blade_tune.report import Row
from blade_tune.report.score_cells import difference_columns, difference_words, metric_name
from blade_tune.selection.groups import (
    FEWEST_USERS,
    GroupContrast,
    Masks,
    are_quantiles,
)
from blade_tune.selection.scores import Scores


def group_means(scores: Scores, groups: Masks, metric: str) -> Row:
    """Return the mean of a metric in each group of users; None for a group that is too small."""
    means: Row = {}
    for name, mask_U in groups.items():
        estimate = scores.of_users(mask_U, metric)
        means[f"{name} {metric}"] = estimate.mean if estimate else None
    return means


def contrast_columns(contrasts: Sequence[GroupContrast], label: str) -> Row:
    """Return the columns of a row on how its difference varies between groups; none where no groups were compared."""
    if not contrasts:
        return {}
    found = {each.label: each for each in contrasts}.get(label)
    comparison, p_adjusted = (found.comparison, found.p_adjusted) if found else (None, None)
    return difference_columns("group_contrast", comparison, p_adjusted)


def group_notes(
    groups: Masks, contrasts: Sequence[GroupContrast], base: str, metric: str
) -> list[str]:
    """Return footnotes on the sizes of groups and on their contrasts; none if the data does not tell them apart.

    Args:
        groups: the groups of users.
        contrasts: the contrasts between the last and the first group.
        base: name of the configuration that all others are compared with.
        metric: name of the metric.
    """
    if not groups:
        return []
    sizes = ", ".join(f"{name} users n = {int(mask_U.sum())}" for name, mask_U in groups.items())
    if are_quantiles(groups):
        sizes += (
            "; quantiles of the share of long-tail behaviors, since the paper's rule (over 80% of them) leaves a group "
            f"under {FEWEST_USERS} users"
        )
    if not contrasts:
        return [sizes]
    first, *_, last = groups
    found = "; ".join(
        f"{each.label} {difference_words(each.comparison, each.p_adjusted)}" for each in contrasts
    )
    return [
        sizes,
        f"difference from {base} in {metric_name(metric)} among {last} users minus that among {first} users (paired "
        f"bootstrap over users within groups and seeds, 95%, Holm over {len(contrasts)}): {found}",
    ]
