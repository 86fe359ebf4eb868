"""Known public logs: each is prepared from its owner's files as they are, and means what its table says."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from blade_tune.config import read_yaml
from blade_tune.data.raw.datasets import KNOWN_LOGS
from blade_tune.data.raw.settings import Recipe
from blade_tune.spec.catalog import is_shipped
from tests.cli.program import Ended, call
from tests.data.raw.logs import read_prepared
from tests.data.raw.lookalikes import LOOKALIKES
from tests.data.raw.owners_files import put
from tests.data.raw.slow_twin import expected_split

DOCS = Path(__file__).parents[3] / "docs" / "data.md"
VERSIONS = [(log, version) for log in KNOWN_LOGS for version in KNOWN_LOGS[log].by_version]


def prepare(folder: Path, log: str, source: Path | str, *options: str) -> Ended:
    return call("data", "prepare", log, "--source", str(source), *options, cwd=folder)


@pytest.mark.parametrize(("log", "version"), VERSIONS)
def test_a_known_log_is_what_plain_loops_make_of_it(tmp_path: Path, log: str, version: str) -> None:
    """From the owner's own files: the slow recipe's split, under the ids of the log, and a study that comes next."""
    known, alike = KNOWN_LOGS[log], LOOKALIKES[log, version]
    source, rows = alike.write(tmp_path)
    made = prepare(tmp_path, log, source, *alike.options, "-f", "json")
    assert made.code == 0, made.err

    # The split
    form = known.form
    merges = form.merges and bool(form.time or form.session)
    expected = expected_split(
        rows, known.auxiliary, Recipe(), merges=merges, keep_repeats=form.keep_repeats
    )
    parts = {
        part: [(str(u), str(i), done) for u, i, done in rows]
        for part, rows in expected.parts.items()
    }
    assert read_prepared(tmp_path / "data" / log, known.behaviors) == parts
    assert all(len(parts[part]) >= 5 for part in ("train", "valid", "test"))
    facts = json.loads(made.out)
    assert facts["rows_read"] == len(rows)
    assert facts["auxiliary"] == known.auxiliary
    left_out = facts["left_out"].items()
    unused = ("no_behavior", "other_event", "seen_only")
    assert sum(n for reason, n in left_out if reason in unused) == expected.left_out["empty"]

    # The study
    study = f"--study {log}{f' --data data/{log}' if is_shipped('studies', log) else ''}"
    assert made.err.endswith(f"next: blade-tune run {study}\n")
    assert (tmp_path / "studies" / f"{log}.yaml").exists() != is_shipped("studies", log)
    planned = call("run", *study.split(), "--dry-run", cwd=tmp_path)
    assert planned.code == 0, planned.err


def test_every_known_log_has_a_look_alike() -> None:
    """And no look-alike is of a log that is not known."""
    assert set(LOOKALIKES) == set(VERSIONS)


@pytest.mark.parametrize("log", KNOWN_LOGS)
def test_a_table_says_where_a_log_comes_from(log: str) -> None:
    """Page and license; some file of a version has each behavior, and all agree in what is not about columns."""
    known = KNOWN_LOGS[log]
    assert known.page.startswith(("https://", "http://"))
    assert known.license
    own = {"user", "item", "time", "type", "columns", "thresholds", "seen", "header"}
    for version in known.by_version:
        forms = list(known.forms(version).values())
        assert all(any(f.alternatives[k] for f in forms) for k in range(len(known.behaviors)))
        assert len({json.dumps(f.model_dump(exclude=own)) for f in forms}) == 1


@pytest.mark.parametrize("log", KNOWN_LOGS)
def test_the_docs_have_a_row_for_each_log(log: str) -> None:
    """With the example of its table, its behaviors with what is auxiliary in brackets, and its owner's page."""
    known = KNOWN_LOGS[log]
    shown = [f"({name})" if name == known.auxiliary else name for name in known.behaviors]
    (row,) = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{log}` |")]
    _, _, example, behaviors, _, license_, _ = map(str.strip, row.split("|"))
    assert (example, behaviors) == (f"`{known.example}`", ", ".join(shown))
    assert f"]({known.page}" in license_


def test_seen_videos_are_no_behavior(tmp_path: Path) -> None:
    """KuaiRand: what was shown and not clicked, hated or not, counts as seen."""
    source, rows = LOOKALIKES["kuairand", "pure"].write(tmp_path)
    facts = json.loads(prepare(tmp_path, "kuairand", source, "-q", "-f", "json").out)
    assert facts["left_out"]["seen_only"] == sum(not behaviors for *_, behaviors in rows) > 0


@pytest.mark.parametrize(("log", "version"), [("movielens", "20m-latest"), ("otto", "train")])
def test_from_the_owner_s_file_to_recommendations(tmp_path: Path, log: str, version: str) -> None:
    """Prepare, stats, run, export-best, recommend: each command is the next one, and needs no edit."""
    source, rows = LOOKALIKES[log, version].write(tmp_path)
    for words in (
        ["data", "prepare", log, "--source", str(source)],
        ["data", "stats", "--study", log],
        ["run", "--study", log, "--model", "item_knn", "--trials", "1"],
        ["export-best", "--study", f"{log}-item_knn"],
    ):
        ended = call(*words, cwd=tmp_path)
        assert ended.code == 0, ended.err
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            source = Path(archive.extract("ml-25m/ratings.csv", tmp_path))
    bundle = f"results/{log}-item_knn/best"
    ended = call(
        *("recommend", "--bundle", bundle, "--users", str(source), "-k", "3", "-q"),
        cwd=tmp_path,
    )
    assert ended.code == 0, ended.err
    (form,) = KNOWN_LOGS[log].forms(version).values()
    header, *recommended = ended.out.splitlines()
    assert header == f"{form.user},{form.item},rank,score"
    met = {(user, item) for user, item, *_ in rows}
    found = {tuple(line.split(",")[:2]) for line in recommended}
    assert len({user for user, _ in found} & {user for user, _ in met}) > 5
    assert not found & met


def test_another_name_is_another_study(tmp_path: Path) -> None:
    """Two versions of one log lie side by side."""
    for version, name in (("100k", "ml-100k"), ("1m-10m", "ml-1m")):
        source, _ = LOOKALIKES["movielens", version].write(tmp_path)
        ended = prepare(tmp_path, "movielens", source, "--name", name)
        assert ended.code == 0, ended.err
        assert ended.err.endswith(f"next: blade-tune run --study {name}\n")
        study = read_yaml(tmp_path / "studies" / f"{name}.yaml")
        assert study["data"]["name"] == name
        assert study["run"]["data"] == f"data/{name}"


def test_repeats_are_ranked_where_they_are_kept(tmp_path: Path) -> None:
    """The study of listens ranks what was listened to before; that of ratings does not."""
    for log, version, kept in (("lastfm", "", True), ("movielens", "100k", False)):
        source, _ = LOOKALIKES[log, version].write(tmp_path)
        assert prepare(tmp_path, log, source, "-q").code == 0
        study = read_yaml(tmp_path / "studies" / f"{log}.yaml")
        assert (study.get("objective") == {"exclude": "none"}) is kept


CSV = "userId,movieId,rating,timestamp\n1,2,3.5,4\n"


def files(texts: dict[str, str]) -> Callable[[Path], Path]:
    """A folder of files."""

    def write(folder: Path) -> Path:
        for name, text in texts.items():
            put(folder / "logs" / name, text)
        return folder / "logs"

    return write


def zip_of(*names: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for name in names:
                archive.writestr(name, CSV)
        return folder / "a.zip"

    return write


def one(name: str, text: str) -> Callable[[Path], Path]:
    return lambda folder: put(folder / name, text)


# What is wrong -> the log, its source, more options, the error
REFUSED: dict[str, tuple[str, Callable[[Path], Path], list[str], str]] = {
    "another file": (
        "movielens",
        one("stars.csv", CSV),
        [],
        r"stars\.csv: must hold the files of a version as their owner calls them \(100k: u\.data; 1m-10m: "
        r"ratings\.dat; 20m-latest: ratings\.csv\), got stars\.csv; .* say with --version what a file of another",
    ),
    "another archive": (
        "movielens",
        zip_of(*(f"a/{n}.csv" for n in range(9))),
        [],
        r"got 0\.csv, 1\.csv, 2\.csv, 3\.csv, 4\.csv and 4 more; name the folder or the archive",
    ),
    "two versions in a folder": (
        "movielens",
        files({"u.data": "1\t2\t3\t4\n", "ratings.csv": CSV}),
        [],
        r"has names of files of 100k and 20m-latest; say with --version which it is",
    ),
    "a name of two versions": (
        "amazon-reviews",
        one("Books.csv", "a,b,5.0,1\n"),
        [],
        r"Books\.csv: has names of files of 2018-ratings and 2023-ratings; say with --version",
    ),
    "no such version": (
        "movielens",
        one("ratings.csv", CSV),
        ["--version", "30m"],
        r"--version must be one of 100k, 1m-10m, 20m-latest, got 30m",
    ),
    "the other version": (
        "amazon-reviews",
        one("All_Beauty.csv", "user_id,parent_asin,rating,timestamp\nu,i,5.0,1\n"),
        ["--version", "2018-ratings"],
        r"rating must be a number or nothing; row 1 has 'rating'",
    ),
    "two categories": (
        "amazon-reviews",
        files({"Books.jsonl": "{}\n", "Toys.jsonl": "{}\n"}),
        [],
        r"must hold \[A-Z\]\*\.jsonl once, and holds it 2 times",
    ),
    "no second file in a folder": (
        "yoochoose",
        files({"yoochoose-clicks.dat": "1,2014-04-07T10:51:09.277Z,3,0\n"}),
        [],
        r"logs: must hold yoochoose-clicks\.dat and yoochoose-buys\.dat, and yoochoose-buys\.dat is missing; name the "
        r"folder or the archive that holds all of them",
    ),
    "no second file in an archive": (
        "diginetica",
        zip_of("train-item-views.csv", "products.csv"),
        [],
        r"a\.zip: must hold .*, and train-purchases\.csv is missing",
    ),
    "one file of two": (
        "diginetica",
        one("train-item-views.csv", "sessionId;userId;itemId;timeframe;eventdate\n"),
        [],
        r"train-item-views\.csv: must hold .*, and train-purchases\.csv is missing",
    ),
    "one part of four": (
        "kuairand",
        one("log_standard_4_08_to_4_21_27k_part1.csv", "user_id,video_id\n"),
        ["--version", "27k"],
        r"log_standard_4_08_to_4_21_27k_part2\.csv and .* is missing",
    ),
    "an archive without it": (
        "retailrocket",
        zip_of("item_properties_part1.csv", "category_tree.csv"),
        [],
        r"a\.zip: must hold events\.csv once, and holds it 0 times",
    ),
    "columns of another log": (
        "retailrocket",
        one("events.csv", CSV),
        [],
        r"events\.csv: must have one column 'visitorid', got userId, movieId",
    ),
    "reviews of Steam, which are no JSON": (
        "amazon-reviews",
        one("reviews_Steam.json", "{u'username': u'a', u'product_id': u'7'}\n"),
        [],
        r"reviews_Steam\.json:1: must be a JSON object",
    ),
    "events that are no list": (
        "otto",
        one("otto-recsys-train.jsonl", '{"session": 1, "events": []}\n{"session": 2, "events": 5}\n'),
        [],
        r"otto-recsys-train\.jsonl:2: must hold a list of rows, got UBIGINT",
    ),
    "nothing": ("otto", lambda folder: folder / "none.jsonl", [], "no such file or folder"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_the_log_is_refused(tmp_path: Path, what: str) -> None:
    """In one line with the way out; nothing is written."""
    log, write, options, law = REFUSED[what]
    source = write(tmp_path)
    before = [path for path in tmp_path.rglob("*") if path.is_file()]
    ended = prepare(tmp_path, log, source, *options, "-q")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert re.search(law, ended.err), ended.err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == before


@pytest.mark.parametrize("log", KNOWN_LOGS)
def test_a_first_look_knows_a_log_by_its_files(tmp_path: Path, log: str) -> None:
    """Whether its rows can be read without its table or not, the command that knows the log is named."""
    known = KNOWN_LOGS[log]
    version = next(iter(known.by_version))
    source, _ = LOOKALIKES[log, version].write(tmp_path)
    looked = call("data", "look", str(source), "-f", "json", cwd=tmp_path)
    # An archive or a folder with more than the log's files is refused, and says so there
    notes = json.loads(looked.out)["notes"] if looked.code == 0 else [looked.err]
    said = [note for note in notes if "if it is that log" in note]
    assert any(f"data prepare {log} " in note for note in said)
