"""Published facts of the paper's data sets: the counts of its Table 2 and their owners."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of Table 2 of the BLADE paper, which counts rows with a behavior."""

    users: int
    items: int
    interactions: int
    owner: str


PUBLISHED: Mapping[str, Published] = {
    "kuaisar": Published(3_812, 10_653, 528_242, "KuaiSAR (Sun et al., CIKM 2023)"),
    "qk-article": Published(5_081, 13_788, 252_069, "Tenrec (Yuan et al., NeurIPS 2022)"),
    "qk-video": Published(5_081, 20_494, 150_396, "Tenrec (Yuan et al., NeurIPS 2022)"),
}


def differences(name: str, counts: Mapping[str, int]) -> list[str]:
    """Compare the counts of a data set with those published under its name.

    Args:
        name: name of the data set.
        counts: its numbers of `users`, `items` and `interactions`; other entries are ignored.

    Returns:
        A sentence in plain words for each count; none if nothing was published under that name.
    """
    published = PUBLISHED.get(name)
    if published is None:
        return []
    return [
        _difference("users", counts["users"], published.users),
        _difference("items", counts["items"], published.items),
        _difference("interactions", counts["interactions"], published.interactions),
    ]


def _difference(noun: str, ours: int, theirs: int) -> str:
    if ours == theirs:
        return f"{ours:,} {noun}, as published"
    more = "more" if ours > theirs else "fewer"
    by = f"{abs(ours - theirs):,} {more}"
    return f"{ours:,} {noun}, {by} than the published {theirs:,} ({ours / theirs - 1:+.1%})"
