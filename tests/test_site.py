"""The documentation as a site: built without a warning, whole, made from the code, and read without a network."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

import click
import pytest
from filelock import FileLock

import blade_tune
from blade_tune import errors
from blade_tune.cli.program import blade_tune as program
from blade_tune.config import Settings
from blade_tune.data.raw.mapping import LogMapping
from blade_tune.data.sources import SOURCES
from blade_tune.fleet.settings import RunSettings
from blade_tune.models import MODELS, config_class
from blade_tune.parameter import Free
from blade_tune.registry import load
from blade_tune.spec.catalog import available, is_shipped
from blade_tune.spec.study_file import StudyFile
from blade_tune.training.config import TrainConfig
from tests.cli.test_help import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).with_suffix("") for page in DOCS.rglob("*.md"))

pytestmark = pytest.mark.slow


def build(docs: Path, site: Path) -> str:
    """Build pages as CONTRIBUTING.md says, and return what Sphinx warns of; nothing if it ends well."""
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html"]
    ended = subprocess.run(
        [*command, "-d", site.with_suffix(".trees"), docs, site],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode == 0) == (ended.stderr == ""), ended.stderr
    return ended.stderr


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The site, built once for all processes of the tests."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    built = shared / "site"
    with FileLock(shared / "site.lock"):
        if not built.exists():
            assert build(DOCS, built) == ""
    return built


class Read(HTMLParser):
    """What a page of the site has: its anchors, the links to follow, and what a browser asks for by itself."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.asked: list[str] = []
        self.code: set[str] = set()
        self._is_code = False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._is_code = tag == "code" or (self._is_code and tag == "span")
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link":
            self.asked.append(values["href"])
        if "src" in values:
            self.asked.append(values["src"])

    def handle_data(self, data: str) -> None:
        if self._is_code:
            self.code.add(data)


@cache
def read(page: Path) -> Read:
    return Read(page)


def parts(settings: type[Settings]) -> Iterator[type[Settings]]:
    """A class of settings, and those of the sections in it."""
    yield settings
    for field in settings.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            for inner in (kind, *get_args(kind)):
                if isinstance(inner, type) and issubclass(inner, Settings):
                    yield from parts(inner)


# The build


def test_every_page_is_built_and_in_the_list_of_the_first(site):
    """No warning came up, each file of docs/ is a page, and the first page leads to it."""
    links = {urlsplit(link).path for link in read(site / "index.html").links}
    for page in PAGES:
        assert (site / f"{page}.html").is_file()
        assert page.name == "index" or f"{page}.html" in links


def test_every_link_of_the_site_leads_somewhere(site):
    """Each link to a page or a file of the site names one that is there, and an anchor that it has."""
    lost = []
    for page in site.rglob("*.html"):
        for link in read(page).links:
            url = urlsplit(link)
            if url.scheme or not (url.path or url.fragment):
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            is_lost = not target.is_file()
            if not is_lost and url.fragment and target.suffix == ".html":
                is_lost = unquote(url.fragment) not in read(target).anchors
            if is_lost:
                lost.append((str(page.relative_to(site)), link))
    assert lost == []


def test_no_page_asks_the_network(site):
    """Scripts, styles, fonts and pictures are files of the site."""
    asked = [(str(page), name) for page in site.rglob("*.html") for name in read(page).asked]
    assert [(page, name) for page, name in asked if urlsplit(name).netloc] == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", style.read_text()) == []


def test_links_between_files_of_the_repository_hold_on_the_site(site):
    """A file that a page shows is linked as that page; any other file outside of docs/ is given."""
    links = read(site / "index.html").links
    assert {"contributing.html", "changelog.html", "tutorial.html"} <= set(links)
    assert any(re.fullmatch("_downloads/.*/LICENSE", link) for link in links)
    assert any(link.endswith("/demo-grid.md") for link in read(site / "selection.html").links)


def test_broken_links_end_the_build(tmp_path):
    """A page, a heading or a file that is not there, and a page in no list, are errors that name it."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("conf.py", "extensions", "theme"):
        (docs / name).symlink_to(DOCS / name)
    (docs / "index.md").write_text(
        "# One\n\n[a](gone.md), [b](#no-heading), [c](two.md#no-heading), [d](../gone.yaml)\n\n"
        "`[not](a-link.md)`\n"
    )
    (docs / "two.md").write_text("# Two\n")
    said = build(docs, tmp_path / "site")
    for name in (
        "'gone.md'",
        "no-heading",
        "'two'",
        "gone.yaml",
        "two.md: WARNING: document isn't",
    ):
        assert name in said
    assert "a-link" not in said


# The reference


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_in_the_reference(site, words):
    """It has a heading of its words, and each of its flags is there."""
    page = read(site / "reference" / "commands.html")
    assert not words or "-".join(words) in page.anchors
    command: click.Command = program
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    shown = " ".join(page.code)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert all(flag in shown for flag in parameter.opts)


WRITTEN = [StudyFile, RunSettings, LogMapping, TrainConfig, Free]
WRITTEN += [load(SOURCES, "source", name).Config for name in SOURCES]


@pytest.mark.parametrize("settings", WRITTEN, ids=lambda settings: settings.__name__)
def test_every_setting_that_is_written_by_hand_is_in_the_reference(site, settings):
    """Each key of a study, its data and training, of a space, of runs and of a log has its row."""
    shown = read(site / "reference" / "settings.html").code
    shown = shown | read(site / "reference" / "spaces.html").code
    for part in parts(settings):
        names = {field.alias or name for name, field in part.model_fields.items()}
        assert names - shown == set()


@pytest.mark.parametrize("model", MODELS)
def test_every_model_and_its_settings_are_in_the_reference(site, model):
    """It has a heading, and each of its settings a row, there or among those that many share."""
    page = read(site / "reference" / "models.html")
    assert model.replace("_", "-") in page.anchors or model in page.anchors
    assert set(config_class(model).model_fields) - page.code == set()


def test_every_shipped_space_is_in_the_reference(site):
    """It has a heading."""
    anchors = read(site / "reference" / "spaces.html").anchors
    shipped = [name for name in available("search_spaces") if is_shipped("search_spaces", name)]
    assert {name for name in shipped if name not in anchors} == set()


def test_every_public_name_of_python_is_in_the_reference(site):
    """Each name of the package, and each public member of its classes, has an entry; errors have a row."""
    page = read(site / "reference" / "python.html")
    for name in blade_tune.__all__:
        found = getattr(blade_tune, name)
        if isinstance(found, str):
            assert f"blade_tune.{name}" in page.code
            continue
        assert f"blade_tune.{name}" in page.anchors
        for member, value in vars(found).items() if isinstance(found, type) else ():
            if not member.startswith("_") and getattr(value, "__doc__", None):
                assert f"blade_tune.{name}.{member}" in page.anchors
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert kinds - page.code == set()
