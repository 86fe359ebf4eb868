"""Settings classes and the YAML reader: what is accepted, and what an error says."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from blade_tune.config import Settings, guess, known_names, parse, read_value, read_yaml, write_yaml
from blade_tune.errors import ConfigError


class Inner(Settings):
    alpha: float = Field(0.5, ge=0.0, le=1.0)
    kind: Literal["sum", "gate"] = "sum"


class Outer(Settings):
    size: int
    inner: Inner = Inner()

    @model_validator(mode="after")
    def _fits(self) -> "Outer":
        if self.size == 13:
            raise ValueError("size must not be 13, got 13")
        return self


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(folder: Path, text: str | bytes) -> str:
    """What the reader says of a bad file, its folder left out."""
    with pytest.raises(ConfigError) as error:
        read_yaml(written(folder, text))
    return str(error.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("2.5e3", 2500.0),
        ("-1e+2", -100.0),
        ("1.e2", 100.0),
        ("1.0e-3", 0.001),
    ],
)
def test_scientific_notation_is_a_number(tmp_path: Path, text: str, value: float):
    """1e-3 is a number in every spelling, which plain YAML 1.1 reads as text."""
    assert read_yaml(written(tmp_path, f"a: {text}")) == {"a": value}


@pytest.mark.parametrize("text", ["'1e-3'", "e3", "1e", "1e3x", "e", "1.2.3e4"])
def test_what_only_looks_like_a_number_is_text(tmp_path: Path, text: str):
    """Quotes keep text, and a word with an e in it is no number."""
    assert read_yaml(written(tmp_path, f"a: {text}")) == {"a": text.strip("'")}


def test_a_merged_mapping_is_read(tmp_path: Path):
    """YAML's anchors and merge keys work, and a key of the mapping itself wins."""
    text = "base: &b {x: 1, y: 2}\nthis: {<<: *b, y: 3}\n"
    assert read_yaml(written(tmp_path, text))["this"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "file.yaml:3: is not valid YAML: a is given twice."),
        ("a:\n  b: 1\n  b: 1\n", "file.yaml:3: is not valid YAML: b is given twice."),
        ("- 1\n- 2\n", "file.yaml: must be a YAML mapping, got list."),
        ("", "file.yaml: must be a YAML mapping, got NoneType."),
        ("a: 1\nb: [1, 2\nc: 3\n", "file.yaml:3: is not valid YAML: "),
        (
            "a: !!python/object/apply:os.getcwd []\n",
            "file.yaml:1: is not valid YAML: could not determine a constructor",
        ),
        ("a: 2026-13-45\n", "file.yaml: is not valid YAML: month must be in 1..12"),
        ("a: \x00\n", "file.yaml: is not valid YAML: "),
        (b"a: \xff\xfe\n", "file.yaml: must be UTF-8 text."),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str | bytes, message: str):
    """What is no YAML mapping in UTF-8 is refused with file, line where there is one, and reason."""
    assert refusal(tmp_path, text).startswith(message)


def test_a_missing_file_is_refused(tmp_path: Path):
    """A file that is missing, or is a folder, is a ConfigError with its path and the system's reason."""
    with pytest.raises(
        ConfigError, match=r"none\.yaml: cannot be read \(No such file or directory\)\.$"
    ):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)\.$"):
        read_yaml(tmp_path)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
TREES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(PLAIN, lambda t: st.lists(t) | st.dictionaries(st.text(), t), max_leaves=8),
)


@given(
    data=TREES
    | st.fixed_dictionaries(
        {"a": st.from_regex(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+", fullmatch=True)}
    )
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, data: dict):
    """`read_yaml` gives back what `write_yaml` wrote, text that looks like a number included."""
    assert read_yaml(written(tmp_path_factory.getbasetemp(), write_yaml(data))) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "place: size is required."),
        ({"size": 1, "siez": 2}, "place: unknown key siez. Did you mean size?"),
        (
            {"size": 1, "inner": {"alpah": 0.5}},
            "place: unknown key inner.alpah. Did you mean alpha?",
        ),
        ({"size": 1, "zzz": 2}, "place: unknown key zzz. Known: inner, size."),
        (
            {"size": "big"},
            "place: size must be a valid integer, unable to parse string as an integer, got 'big'.",
        ),
        (
            {"size": 1.5},
            "place: size must be a valid integer, got a number with a fractional part, got 1.5.",
        ),
        (
            {"size": 1, "inner": {"alpha": 1.5}},
            "place: inner.alpha must be less than or equal to 1, got 1.5.",
        ),
        (
            {"size": 1, "inner": {"kind": "add"}},
            "place: inner.kind must be 'sum' or 'gate', got 'add'.",
        ),
        ({"size": 13}, "place: size must not be 13, got 13."),
    ],
)
def test_an_error_has_place_law_and_fact(data: dict, message: str):
    """A broken law reads `place: name law, got value.`; an unknown key gets a guess, also inside a mapping."""
    with pytest.raises(ConfigError) as error:
        parse(Outer, data, "place")
    assert str(error.value) == message


def test_every_broken_law_has_a_line():
    """One error says all that is wrong."""
    with pytest.raises(ConfigError) as error:
        parse(Outer, {"inner": {"alpha": -1}, "extra": 0}, "place")
    assert [line.split(" ")[1] for line in str(error.value).splitlines()] == [
        "size",
        "inner.alpha",
        "unknown",
    ]


def test_settings_cannot_be_changed():
    """Settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Inner().alpha = 1.0  # type: ignore[misc]


def test_a_guess_names_the_nearest_or_all():
    """A near miss gets one name, anything else the list, and of an empty list that there is none."""
    assert guess("alpa", ["alpha", "beta"]) == "Did you mean alpha?"
    assert guess("xyz", ["beta", "alpha"]) == "Known: alpha, beta."
    assert guess("xyz", []) == "Known: none."


def test_an_unknown_name_gets_a_dozen_known_ones():
    """The most similar first, then others like it, then the rest by name, of which only the number may be said."""
    names = ["study", "shop-may", "demo", "shops", "shop"]
    assert known_names("shopp", names) == (
        "Did you mean shop? Also known: shops, shop-may, demo, study."
    )
    assert known_names("xyz", names) == "Known: demo, shop, shop-may, shops, study."
    assert known_names("dmo", ["demo"]) == "Did you mean demo?"
    assert known_names("xyz", []) == "Known: none."
    many = [f"s{number:02}" for number in range(20)]
    assert known_names("x", many) == f"Known: {', '.join(many[:12])} and 8 more."
    near = known_names("s07", many)
    assert near.startswith("Did you mean s07? Also known: ")
    assert (near.count(","), near.endswith(" and 8 more.")) == (10, True)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "a: " + "[" * 1_000 + "]" * 1_000,
        "a: " + "{b: " * 60 + "1" + "}" * 60,
        "a: &x [*x]",
        "a: &x {b: *x}",
        "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
        + "".join(
            f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n"
            for p, n in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: [" + "1," * 100_001 + "1]",
    ],
    ids=[
        "unclosed",
        "lists",
        "mappings",
        "itself",
        "a mapping of itself",
        "aliases of aliases",
        "too many",
    ],
)
def test_endless_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    """Whatever is nested too deep or too large, with what its aliases stand for, is refused at the door."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        read_yaml(path)
    assert str(refusal.value).startswith(f"{path}")
    assert "\n" not in str(refusal.value)


def test_yaml_may_use_aliases(tmp_path: Path) -> None:
    """A few of them, and a depth that people write."""
    (tmp_path / "x.yaml").write_text("a: &x {b: [1, {c: 2}]}\nd: *x\ne: {<<: *x, f: 3}\n")
    assert read_yaml(tmp_path / "x.yaml")["e"] == {"b": [1, {"c": 2}], "f": 3}
    assert read_value("[" * 100_000) == "[" * 100_000
