"""What there is: studies, models, spaces and data as tables; new study files and variants; unknown names."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from ruamel.yaml import YAML

from blade_tune.config import known_names, read_yaml
from blade_tune.data.sources import SOURCES
from blade_tune.models import MODELS
from blade_tune.report.studies import age_words, part_of
from blade_tune.spec.catalog import StudySource, available
from blade_tune.spec.copy_study import EXAMPLES, commented
from blade_tune.spec.definition import StudyDefinition
from blade_tune.storage.attempts import ATTEMPTS, Claimant
from blade_tune.storage.process import Owner
from blade_tune.storage.spending import UNLIMITED, Limit
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.cli.program import call, do, write_study
from tests.data.examples import write_split


def rows(folder: Path, words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(do(folder, f"{words} -f json").out)
    return found


def study_row(folder: Path, name: str = "tiny") -> dict[str, Any]:
    [row] = [row for row in rows(folder, "studies --all") if row["study"] == name]
    return row


def open_tiny(folder: Path) -> StoredStudy:
    return Workspace.at(None, folder / "results").study("tiny")


# --- studies ---


def test_a_row_says_of_a_study_what_status_says(finished: Path, status: dict[str, Any]):
    """Figures of the table are those of the study's own command."""
    row = study_row(finished)
    assert (row["scored"], row["budget"]) == (status["scored"], status["budget"])
    assert (row["best"], row["best_trial"]) == (status["best"]["value"], status["best"]["number"])
    assert row["baseline"] == status["baselines"]["item_knn"]
    assert row["is_above"] == status["verdict"]["is_above"]
    assert row["verdict"] == status["verdict"]["words"]
    assert (row["model"], row["metric"], row["data"]) == ("blade", "ndcg@10", "tiny")
    assert (row["state"], row["workers"], row["part_of"]) == ("done", 0, None)
    assert row["who"] == [Owner.here().who]
    assert 0 <= row["age_s"] < 3600


def test_status_without_a_study_is_the_table_of_studies(finished: Path):
    """In every form."""
    for form in ("table", "csv"):
        shown, same = do(finished, f"status -f {form}"), do(finished, f"studies -f {form}")
        assert shown.out.splitlines()[0] == same.out.splitlines()[0]
        assert "tiny" in shown.out
    [row] = csv.DictReader(io.StringIO(do(finished, "studies -f csv").out))
    assert row["study"] == "tiny"
    ended = call("status", "--watch", cwd=finished)
    assert (ended.code, "--study NAME" in ended.err) == (2, True)


def test_the_table_is_in_words(finished: Path):
    """Scored trials of the budget, the baseline by its name, and how long ago."""
    shown = do(finished, "studies").out
    header = shown.splitlines()[0]
    for column in (
        "study",
        "model",
        "data",
        "state",
        "scored",
        "best",
        "item_knn",
        "above it",
        "who",
    ):
        assert column in header
    assert "3 of 3" in shown


def test_states_of_a_study(finished_copy: Path):
    """Done, can go on where the budget is larger, running while a worker is heard of, and only then."""
    stored = open_tiny(finished_copy)
    stored.study.set_user_attr("budget", 4)
    assert study_row(finished_copy)["state"] == "can go on"
    attempt = stored.attempts.claim(4, Claimant(Owner("elsewhere", 1, 0.0, "me"), "cpu", 1.0))
    assert attempt
    row = study_row(finished_copy)
    assert (row["state"], row["workers"], row["who"]) == ("running", 1, ["me@elsewhere"])
    # Silent for longer than a worker may be
    with stored.storage.engine.begin() as connection:
        connection.execute(ATTEMPTS.update().values(renewed=ATTEMPTS.c.renewed - 1000))
    assert study_row(finished_copy)["state"] == "can go on"


def test_a_process_that_has_ended_works_on_nothing(finished_copy: Path):
    """On this machine that is known at once."""
    stored = open_tiny(finished_copy)
    here = Owner.here()
    gone = Owner(here.host, here.pid, here.started - 100)
    assert stored.attempts.claim(9, Claimant(gone, "cpu", 1.0))
    assert study_row(finished_copy)["workers"] == 0


def test_a_limit_of_steps_ends_a_study_too(finished_copy: Path):
    """Where the number of trials says nothing, what they have spent does."""
    stored = open_tiny(finished_copy)
    stored.study.set_user_attr("budget", UNLIMITED)
    for total, state in ((1, "done"), (10**9, "can go on")):
        Limit("steps", total).store(stored.study)
        row = study_row(finished_copy)
        assert (row["state"], row["budget"]) == (state, None)
        assert row["spent"].endswith(f" of {total:,} steps")
        assert row["spent"] in do(finished_copy, "studies").out


def test_parts_of_others_are_shown_on_request(finished_copy: Path):
    """Runs of a search and searches of a comparison; otherwise their number is said."""
    stored = open_tiny(finished_copy)
    content = dict(stored.study.user_attrs["definition"])
    for name in ("tiny.runs", "tiny.compare-ease", "tiny.auto-ials", "other"):
        study = optuna.create_study(study_name=name, storage=stored.storage, direction="maximize")
        study.set_user_attr("definition", content)
        study.set_user_attr("budget", 3)
    optuna.create_study(study_name="somebody's", storage=stored.storage)
    ended = do(finished_copy, "studies")
    assert "3 studies are parts of another study or a comparison" in ended.err
    assert [row["study"] for row in rows(finished_copy, "studies")] == ["tiny", "other"]
    parts = {row["study"]: row["part_of"] for row in rows(finished_copy, "studies --all")}
    assert parts == {
        "tiny": None,
        "other": None,
        "tiny.runs": "tiny",
        "tiny.compare-ease": "tiny.compare",
        "tiny.auto-ials": "tiny.auto",
    }


def test_a_study_that_cannot_be_read_hides_no_other(finished_copy: Path):
    """One of a later version, whose state is not known, is a row as well."""
    stored = open_tiny(finished_copy)
    definition = dict(stored.study.user_attrs["definition"])
    search = {**definition["search"], "sampler": "grid"}
    stored.study.set_user_attr("definition", {**definition, "search": search, "model": "later"})
    row = study_row(finished_copy)
    assert (row["model"], row["state"], row["scored"]) == ("later", "unknown", 3)


def test_names_say_what_a_study_is_a_part_of():
    assert part_of("demo") is None
    assert part_of("demo-item_knn") is None
    assert part_of("demo.compare-shared-ease") == "demo.compare-shared"
    assert part_of("demo.compare-ease.runs") == "demo.compare-ease"
    assert part_of("demo.ablate-w-o-EF") == "demo"


def test_ages_are_in_their_largest_unit():
    spans = (None, 0, 59, 60, 3599, 3600, 86_400, 172_800, 10**7)
    expected = [None, "now", "now", "1 min ago", "59 min ago", "1 h ago", "24 h ago"]
    assert [age_words(span) for span in spans] == [*expected, "2 days ago", "115 days ago"]


# --- models, spaces, data ---


def test_models_are_those_of_the_registry(tmp_path: Path):
    """Each with its words, what it reads, and a space."""
    found = rows(tmp_path, "models")
    assert [row["model"] for row in found] == list(MODELS)
    by_name = {row["model"]: row for row in found}
    assert by_name["sasrec"]["paper"] == "Kang and McAuley, ICDM 2018"
    assert by_name["sasrec"]["reads"] == "items"
    assert (by_name["blade"]["reads"], by_name["blade"]["told"]) == ("sets", "set of the next item")
    assert by_name["ease"]["kind"] == "fitted at once"
    assert by_name["eidp"]["kind"] == "trained in epochs"
    assert "blade-any" in by_name["blade"]["spaces"]
    assert all(row["what"] and row["spaces"] for row in found)


def test_spaces_are_those_of_the_catalog(tmp_path: Path):
    """Of the folder too, where one that is broken is told and hides no other."""
    folder = tmp_path / "search_spaces"
    folder.mkdir()
    (folder / "ease-mine.yaml").write_text(
        "# Mine. Not yours.\nmodel: {half_life: {choice: [5, 9]}}\n"
    )
    (folder / "ease-broken.yaml").write_text("model: [\n")
    found = {row["space"]: row for row in rows(tmp_path, "space list")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert set(found) == set(available("search_spaces"))
    mine = found["ease-mine"]
    assert (mine["model"], mine["free"], mine["configurations"]) == ("ease", 1, "2")
    assert mine["what"] == "Mine."
    assert (found["shared"]["model"], found["shared"]["free"]) == (None, None)
    assert "is not valid YAML" in found["ease-broken"]["what"]


def test_data_are_sources_logs_and_what_is_prepared(finished: Path):
    """Prepared rows have their size, and the studies that were run on them."""
    found = rows(finished, "data list")
    assert [row["name"] for row in found if row["kind"] == "source"] == list(SOURCES)
    assert "movielens" in [row["name"] for row in found if row["kind"] == "known log"]
    [prepared] = [row for row in found if row["kind"] == "prepared"]
    assert (prepared["name"], prepared["studies"], prepared["users"]) == ("tiny", ["tiny"], 40)
    size = sum(file.stat().st_size for file in (finished / prepared["folder"]).iterdir())
    assert prepared["mb"] == round(size / 1e6, 2)
    assert "prepared:" in do(finished, "data list").out


def test_prepared_logs_are_listed(tmp_path: Path):
    """Those that `data prepare` wrote into ./data, and no other folder there."""
    lines = ["user,item,time,view,buy"]
    for user in range(6):
        for time in range(6):
            lines.append(f"u{user},i{(user + time) % 5},{time},1,1")
    (tmp_path / "log.csv").write_text("\n".join(lines))
    flags = "--user user --item item --time time --behaviors view,buy --auxiliary view --min-item-targets 1"
    ended = call(
        *f"data prepare event-log --source log.csv --name shop {flags} -q".split(), cwd=tmp_path
    )
    assert ended.code == 0, ended.err
    write_split(tmp_path / "data" / "elsewhere", train=["1,1,1,0,0,0"])
    found = [row for row in rows(tmp_path, "data list") if row["kind"] == "split files"]
    assert [(row["name"], row["users"]) for row in found] == [("shop", 6)]


# --- new study files and variants ---


def test_a_new_study_is_its_source_to_the_letter(tmp_path: Path):
    """Its file has every line of the other and defines the same study under its own name; what is next is said."""
    ended = do(tmp_path, "study new mine --from demo")
    assert "studies/mine.yaml: written, a copy of " in ended.out
    assert ended.err == "next: blade-tune run --study mine --dry-run\n"
    path = tmp_path / "studies" / "mine.yaml"
    demo = StudySource.read("demo")
    assert read_yaml(path) == demo.content
    text = path.read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if line in demo.path.read_text().splitlines()]
    assert [line for line in kept if line] == demo.path.read_text().splitlines()
    assert "\n# data: the interactions" in text
    mine = StudyDefinition.load(str(path))
    assert (mine.name, mine.to_mapping()) == ("mine", StudyDefinition.load(demo).to_mapping())
    assert do(tmp_path, "run --study mine --dry-run").code == 0


@pytest.mark.parametrize("name", sorted(available("studies")))
def test_every_study_can_be_copied_and_its_examples_uncommented(name: str):
    """The sections that stand there as comments are right when the sign before them is taken away."""
    source = StudySource.read(name)
    text = commented(source, "mine")
    for section, example in EXAMPLES.items():
        if section not in source.content:
            assert f"\n# {section}: {example}" in text
            text = text.replace(f"\n# {section}: {example}", f"\n{section}: {example}")
    content = YAML(typ="safe", pure=True).load(text)
    definition = StudyDefinition.load(StudySource(Path("mine.yaml"), content))
    assert definition.model == source.content["model"]
    assert set(content) >= {*source.content, *EXAMPLES}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("tiny --from demo", "studies/tiny.yaml: is there already and is left alone"),
        ("a/b --from demo", "letters, digits"),
        ("tiny.runs", "names that end with .runs"),
        ("mine --from dmeo", "Did you mean demo? Also known: "),
    ],
)
def test_a_new_study_that_cannot_be_is_refused(finished: Path, words: str, told: str):
    """Nothing is written."""
    before = sorted(finished.rglob("*.yaml"))
    ended = call(*f"study new {words}".split(), cwd=finished)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert sorted(finished.rglob("*.yaml")) == before


def test_a_variant_is_a_study_of_another_name(tmp_path: Path):
    """It is stored beside the study of the file, with what the flags change; the same command goes on with it."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    variant = "run --study tiny --model popularity --seed 7 --name tiny-seed-7 --trials 1 -q"
    do(tmp_path, variant)
    do(tmp_path, variant)
    row = study_row(tmp_path, "tiny-seed-7")
    assert (row["model"], row["scored"], row["state"]) == ("popularity", 1, "done")
    stored = Workspace.at(None, tmp_path / "results").study("tiny-seed-7")
    assert stored.definition.search.seed == 7
    # Another variant under a name that is taken differs
    ended = call(*variant.replace("--seed 7", "--seed 8").split(), cwd=tmp_path)
    assert (ended.code, "seed: stored 7, now 8" in ended.err) == (3, True)


@pytest.mark.parametrize(
    ("name", "told"),
    [("demo", "demo.yaml is the study file of demo"), ("a b", "letters"), ("x.runs", ".runs")],
)
def test_a_variant_takes_no_name_of_another(finished: Path, name: str, told: str):
    """That of a study file would be refused when that file is run."""
    ended = call("run", "--study", "tiny", "--name", name, "--dry-run", cwd=finished)
    assert (ended.code, told in ended.err) == (2, True)


# --- unknown names ---


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ("status --study tinyy", ["tiny"]),
        ("run --study tinyy", [*available("studies"), "tiny"]),
        ("run --study tiny --model eas", list(MODELS)),
        ("space show eas", list(available("search_spaces"))),
        ("space check ease --model eas", list(MODELS)),
    ],
)
def test_an_unknown_name_lists_the_known_ones(finished: Path, words: str, known: list[str]):
    """Of a study, a model, a space; the most similar first."""
    ended = call(*words.split(), cwd=finished)
    wrong = words.split()[-1]
    assert (ended.code, known_names(wrong, known) in ended.err) == (2, True), ended.err


@pytest.mark.parametrize("words", ["show 9 --study tiny", "reproduce 9 --study tiny"])
def test_an_unknown_trial_has_the_numbers_that_there_are(finished: Path, words: str):
    ended = call(*words.split(), cwd=finished)
    assert ended.code == 2
    assert ended.err == "Error: study tiny has trials 0 to 2, got 9.\n"


@pytest.mark.parametrize("words", ["data get movieln", "data prepare movieln"])
def test_an_unknown_log_lists_the_known_ones(tmp_path: Path, words: str):
    ended = call(*words.split(), cwd=tmp_path)
    assert ended.code == 2
    assert "Did you mean movielens? Also known: " in ended.err
    assert " more." in ended.err
