"""The command that follows: named in words at the end of a run, a confirmation and an export, and in JSON."""

import json
from pathlib import Path

from tests.cli.program import call, do

STUDY = "--study tiny"


def following(said: str) -> list[str]:
    """The commands that stderr names as the next."""
    return [line.removeprefix("Next: ") for line in said.splitlines() if line.startswith("Next: ")]


def test_each_step_names_the_one_after_it(finished_copy: Path):
    """From a search over its confirmation and its export to its report, each command as it is printed."""
    (confirm,) = following(do(finished_copy, f"run {STUDY}").err)
    assert confirm == f"blade-tune confirm {STUDY} --top 3 --seeds 3"
    words = confirm.removeprefix("blade-tune ").replace("--top 3 --seeds 3", "--top 2 --seeds 2")
    confirmed = do(finished_copy, words)
    (export,) = following(confirmed.err)
    assert export == f"blade-tune export-best {STUDY}"
    (recommend,) = following(do(finished_copy, export.removeprefix("blade-tune ")).err)
    assert recommend == "blade-tune recommend --bundle results/tiny/best --users FILE"
    (report,) = following(do(finished_copy, f"run {STUDY}").err)
    assert report == f"blade-tune report {STUDY}"


def test_quiet_names_none(finished_copy: Path):
    """With -q nothing is said."""
    assert do(finished_copy, f"run {STUDY} -q").err == ""


def test_places_that_are_not_the_default_are_named(finished: Path, tmp_path: Path):
    """So that the command works as it stands; names are quoted for a shell."""
    folder = tmp_path / "other results"
    ended = call("run", "--study", "tiny", "--results", str(folder), cwd=finished)
    assert following(ended.err) == [
        f"blade-tune confirm {STUDY} --top 3 --seeds 3 --results '{folder}'"
    ]


def test_a_run_ends_as_json(finished_copy: Path):
    """The state that `status` prints, with the best trial, the counts, the verdict, the budget and what follows."""
    ended = do(finished_copy, f"run {STUDY} -f json")
    facts = json.loads(ended.out)
    status = json.loads(do(finished_copy, f"status {STUDY} -f json").out)
    assert facts == {**status, "next": f"confirm {STUDY} --top 3 --seeds 3"}
    assert facts["best"].keys() == {"number", "value", "params"}
    assert (facts["budget"], facts["scored"], sum(facts["trials"].values())) == (3, 3, 3)
    assert facts["verdict"]["words"]


def test_a_plan_is_json_too(finished_copy: Path):
    """A row a value, as the table has it."""
    rows = json.loads(do(finished_copy, f"run {STUDY} --dry-run -f json").out)
    assert len({tuple(row) for row in rows}) >= 1
    assert "tiny" in [value for row in rows for value in row.values()]
