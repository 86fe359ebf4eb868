"""Mapping files: what flags say, and what they cannot say, of one file and of several with columns of their own."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.config import write_yaml
from blade_tune.data.raw.append import append
from blade_tune.data.raw.mapping import MappingFile
from blade_tune.data.raw.prepare import Preparation, prepare
from blade_tune.data.raw.settings import Recipe
from blade_tune.data.sources.split_files import FILES, IDS
from blade_tune.data.versions import versions_of
from blade_tune.errors import DataError
from tests.cli.program import call, do
from tests.data.raw.logs import ALL, SUFFIXES, read_prepared, write_log
from tests.data.raw.many_forms import FORMS
from tests.data.raw.slow_twin import Row, expected_split
from tests.data.raw.test_many_forms import COLUMNS, FLOORS, prepared_by_hand
from tests.data.raw.test_split_of_logs import compare

BEHAVIORS = ("view", "buy", "like")
# Three files of one log, no two of whose columns are called alike
ENTRIES: list[dict[str, Any]] = [
    {"user": "visitor", "item": "page", "time": "at", "behaviors": {"view": "*"}},
    {
        "user": "customer",
        "item": "sku",
        "time": "paid",
        "type": "what",
        "behaviors": {"buy": ["order", "reorder"]},
    },
    {
        "user": "who",
        "item": "thing",
        "time": "when",
        "behaviors": {"like": "stars", "view": "was_seen"},
        "thresholds": {"stars": 4},
    },
]


def mapping(folder: Path, entries: list[dict[str, Any]], **more: Any) -> Path:
    (folder / "log.yaml").write_text(write_yaml({**more, "files": entries}))
    return folder / "log.yaml"


def shown_row(number: int, row: tuple[Any, ...]) -> tuple[dict[str, Any], frozenset[str]]:
    """A row as the n-th file has it, and the behaviors that it means."""
    user, item, time, event, stars, seen = row
    if number == 0:
        return {"at": time, "page": item, "visitor": user}, frozenset({"view"})
    if number == 1:
        shown = {"sku": item, "what": event, "customer": user, "paid": time}
        return shown, frozenset({"buy"} if event in ("order", "reorder") else ())
    named = {"like": stars is not None and float(stars) >= 4, "view": seen == "1"}
    shown = {"who": user, "thing": item, "when": time, "stars": stars, "was_seen": seen}
    return shown, frozenset(name for name, holds in named.items() if holds)


def write_files(
    folder: Path, rows: list[tuple[int, tuple[Any, ...]]], suffixes: list[str]
) -> tuple[list[dict[str, Any]], list[Row]]:
    """Write rows as the files whose numbers they have; return the entries of files, and what all rows mean in order."""
    entries, read = [], []
    for number, entry in enumerate(ENTRIES):
        own = [shown_row(number, row) for of, row in rows if of == number]
        path = folder / f"file{number}{suffixes[number]}"
        if own:
            entries.append({"source": write_log(path, [shown for shown, _ in own]).name, **entry})
        for (_, behaviors), (user, item, time, *_) in zip(
            own, [row for of, row in rows if of == number], strict=True
        ):
            read.append((user, item, None if time is None else float(time), behaviors))
    return entries, read


rows_of_files = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.tuples(
            st.sampled_from(["a", "a", "b", "007", None]),
            st.sampled_from(["x", "y", "z", "7", None]),
            st.sampled_from([*map(str, range(8, 16)), "1e1", None]),
            st.sampled_from(["order", "reorder", "return", None]),
            st.sampled_from(["5", "4.0", "3", None]),
            st.sampled_from(["1", "0", None]),
        ),
    ),
    min_size=40,
    max_size=80,
)


@settings(max_examples=15)
@given(rows_of_files, st.lists(st.sampled_from(SUFFIXES), min_size=3, max_size=3), st.booleans())
def test_several_files_are_one_log(
    rows: list[tuple[int, tuple[Any, ...]]], suffixes: list[str], keep_repeats: bool
) -> None:
    """The slow recipe's split of all rows, one file after the other: sets merge across files, in any form."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        entries, read = write_files(folder, rows, suffixes)
        behaviors = list(dict.fromkeys(b for entry in entries for b in entry["behaviors"]))
        if any(all(b not in row[3] for row in read) for b in behaviors):
            return  # a behavior that no row has is another error
        source = MappingFile.read(mapping(folder, entries, keep_repeats=keep_repeats))
        preparation = Preparation(
            "log", source.parts(), behaviors[0], ALL, "none", mapping=source.path
        )
        expected = expected_split(read, behaviors[0], ALL, merges=True, keep_repeats=keep_repeats)
        if not expected.parts["train"] or not expected.parts["valid"]:
            with pytest.raises(DataError, match="none is left of"):
                prepare(preparation, folder / "out", lambda *_: None)
            return
        facts = prepare(preparation, folder / "out", lambda *_: None)
        compare(facts, folder / "out", source.parts()[0].form, expected)


@settings(max_examples=8)
@given(rows_of_files, rows_of_files)
def test_newer_files_of_a_mapping_file_are_added(
    older: list[tuple[int, tuple[Any, ...]]], newer: list[tuple[int, tuple[Any, ...]]]
) -> None:
    """The next version has the bytes of preparing the files of both mapping files, in their order."""
    with TemporaryDirectory() as name:
        root = Path(name)
        # Each row at a moment of its own, so that none is there twice
        moments = iter(range(1000, 2000))
        files = {}
        for part, rows in {"older": older, "newer": newer}.items():
            (root / part).mkdir()
            timed = [(of, (*row[:2], str(next(moments)), *row[3:])) for of, row in rows]
            files[part] = write_files(root / part, timed, [".csv"] * 3)
        names = {b for _, read in files.values() for row in read for b in row[3]}
        in_older = {b for row in files["older"][1] for b in row[3]}
        if in_older != set(BEHAVIORS) or names != in_older:
            return
        both = [
            {**entry, "source": f"{part}/{entry['source']}"}
            for part, (entries, _) in files.items()
            for entry in entries
        ]
        whole = MappingFile.read(mapping(root, both))
        first = MappingFile.read(mapping(root / "older", files["older"][0]))
        more = mapping(root / "newer", files["newer"][0])
        try:
            prepare(
                Preparation("log", first.parts(), "view", ALL, "none", keeps_log=True),
                root / "a",
                print,
            )
        except DataError:
            return
        version = append(versions_of(root / "a")[-1], more, lambda *_: None)
        if version is None:  # no row of the newer files can be used
            return
        prepare(Preparation("log", whole.parts(), "view", ALL, "none"), root / "b", lambda *_: None)
        for file in (*FILES.values(), *IDS.values()):
            assert (root / "a.2" / file).read_bytes() == (root / "b" / file).read_bytes()
        assert len(version.facts["formats"]) == len(files["older"][0]) > 1


SAME = {
    "flags": (
        "view=page_view,buy=order|reorder",
        {"view": "page_view", "buy": ["order", "reorder"]},
    ),
    "alike": ("view,buy", ["view", "buy"]),
    "numbers": ("like=4|5,view=1", {"like": [4, 5], "view": 1}),
}


@pytest.mark.parametrize("kind", SAME)
def test_a_mapping_file_says_what_flags_say(tmp_path: Path, kind: str) -> None:
    """The same bytes of every file of the split, the same study, and what is recorded but for the command."""
    text, behaviors = SAME[kind]
    values = [value.rpartition("=")[2] for value in text.replace("|", ",").split(",")]
    rows = [
        {"u": f"u{n % 5}", "i": f"i{n % 7}", "t": str(n), "e": values[n % len(values)], "s": "7"}
        for n in range(200)
    ]
    for way in ("flags", "file"):
        write_log(tmp_path / way / "shop.csv", rows)
    flags = "--user u --item i --time t --type e --session s --auxiliary view --keep-repeats --min-item-targets 2"
    do(
        tmp_path / "flags",
        f"data prepare event-log --source shop.csv -q --license ours --behaviors {text} {flags}",
    )
    said = {
        "name": "shop",
        "license": "ours",
        "auxiliary": "view",
        "keep_repeats": True,
        "source": "shop.csv",
        "user": "u",
        "item": "i",
        "time": "t",
        "type": "e",
        "session": "s",
        "behaviors": behaviors,
        "recipe": {"min_item_targets": 2},
    }
    (tmp_path / "file" / "any.yaml").write_text(write_yaml(said))
    do(tmp_path / "file", "data prepare event-log --source any.yaml -q")
    for path in sorted((tmp_path / "flags").rglob("*.*")):
        other = tmp_path / "file" / path.relative_to(tmp_path / "flags")
        if path.name != "preparation.json":
            assert path.read_bytes() == other.read_bytes(), path
            continue
        facts, others = json.loads(path.read_text()), json.loads(other.read_text())
        assert others.pop("command") == {"name": "event-log", "flags": {}}
        assert others["source"].pop("mapping") == "any.yaml"
        assert facts.pop("command")
        assert facts == others


@pytest.mark.parametrize("name", ["no header", "latin-1", "day first", "partitioned CSV"])
def test_every_form_goes_into_a_mapping_file(tmp_path: Path, name: str) -> None:
    """Header, encoding and patterns are keys of it; the split is the slow recipe's."""
    form = FORMS[name]
    source = form.write(tmp_path)
    words = [option.removeprefix("--").split("=", 1) for option in form.options]
    options: dict[str, Any] = {key.replace("-", "_"): value for key, value in words}
    if "header" in options:
        options["header"] = options["header"].split(",")
    columns = {
        flag.removeprefix("--"): name
        for flag, name in zip(COLUMNS[::2], COLUMNS[1::2], strict=True)
    }
    entry = {"source": str(source.relative_to(tmp_path)), **columns, "behaviors": ["view", "buy"]}
    (tmp_path / "log.yaml").write_text(write_yaml({"name": "shop", **entry, **options}))
    do(tmp_path, f"data prepare event-log --source log.yaml -q {' '.join(FLOORS)}")
    assert read_prepared(tmp_path / "data" / "shop", ("view", "buy")) == prepared_by_hand()


def test_a_log_of_two_files_from_files_to_recommendations(tmp_path: Path) -> None:
    """A mapping file prepares, appends and recommends; a plain file is refused with the way out; commands name it."""
    entries = []
    for number, (name, step) in enumerate({"views.csv": 1, "orders.csv": 3}.items()):
        user, item, time = ENTRIES[number]["user"], ENTRIES[number]["item"], ENTRIES[number]["time"]
        rows = [
            {user: f"u{n % 7}", item: f"i{(3 * n + n // 7) % 40}", time: str(n), "what": "order"}
            for n in range(0, 300, step)
        ]
        entries.append({"source": write_log(tmp_path / name, rows).name, **ENTRIES[number]})
    mapping(tmp_path, entries, name="shop", recipe={"min_item_targets": 0})
    do(tmp_path, "data prepare event-log --source log.yaml -q")
    stats = do(tmp_path, "data stats --study shop")
    assert "views.csv, orders.csv" in stats.out

    # A bundle knows that there were two formats
    do(tmp_path, "run --study shop --model item_knn --trials 1 -q")
    do(tmp_path, "export-best --study shop-item_knn -q")
    bundle = "recommend --bundle results/shop-item_knn/best -q -k 2 --users"
    found = do(tmp_path, f"{bundle} log.yaml").out.splitlines()
    assert found[0] == "visitor,page,rank,score"
    assert len({line.split(",")[0] for line in found[1:]}) == 7
    for words, law in {
        f"{bundle} views.csv": "views.csv: must be a mapping file (.yaml), for the files of the model's log",
        f"{bundle} log.yaml --item page": "--item must stand in log.yaml",
        "data prepare event-log --append --name shop --source views.csv": "views.csv: must be a mapping file (.yaml)",
    }.items():
        ended = call(*words.split(), cwd=tmp_path)
        assert (ended.code, ended.err.splitlines()[-1].count(law)) == (2, 1), ended.err

    # Newer rows of one of the files alone
    write_log(tmp_path / "new.csv", [{"visitor": "u1", "page": "i1", "at": "900"}])
    (tmp_path / "newer.yaml").write_text(
        write_yaml({"name": "shop", "source": "new.csv", **ENTRIES[0]})
    )
    facts = do(tmp_path, "data prepare event-log --append --source newer.yaml -f json -q")
    assert json.loads(facts.out)["added"] == 1
    assert len(json.loads((tmp_path / "data/shop.2/preparation.json").read_text())["formats"]) == 2
    do(tmp_path, "data stats --study shop.2")
    (tmp_path / "data" / "shop.2").rename(tmp_path / "gone")
    lost = call("data", "stats", "--study", "shop.2", cwd=tmp_path).err
    assert "--source log.yaml --out data/shop && " in lost
    assert "--append --source newer.yaml --out data/shop`" in lost


OK = {"source": "a.csv", "user": "user", "item": "item", "time": "time", "behaviors": ["view"]}


def test_flags_of_the_split_count_more_than_the_file(tmp_path: Path) -> None:
    """--name, --out and the recipe's flags: other splits of one log are tried without another file."""
    rows = [
        {"user": f"u{n % 4}", "item": f"i{n % 3}", "time": str(n), "view": "1"} for n in range(60)
    ]
    write_log(tmp_path / "a.csv", rows)
    (tmp_path / "log.yaml").write_text(
        write_yaml(
            {
                **OK,
                "name": "shop",
                "keep_repeats": True,
                "recipe": {"min_item_targets": 50, "seed": 3},
            }
        )
    )
    flags = "--name other --out here --min-item-targets 1"
    do(tmp_path, f"data prepare event-log --source log.yaml -q {flags}")
    facts = json.loads((tmp_path / "here" / "preparation.json").read_text())
    assert (facts["name"], Recipe(**facts["recipe"])) == (
        "other",
        Recipe(min_item_targets=1, seed=3),
    )
    assert (tmp_path / "studies" / "other.yaml").is_file()
