"""The secret of a storage URL: in no file, page, error, table, bundle or process list of a whole walk on PostgreSQL."""

import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import MetaData, create_engine, select
from sqlalchemy.engine import make_url

from tests.cli.program import (
    OWN_IMPORTS,
    Ended,
    call,
    finish,
    read_until,
    start,
    with_faults,
    write_study,
)
from tests.cli.test_dashboard import free_port
from tests.postgres import Server

SECRET = "s3cr3t-Zq9"  # noqa: S105 - the test server asks for none
TAIL = SECRET[-6:]  # a part of it is too much as well
WALK = (
    "run --study tiny --trials 3 -q",
    "run --study tiny --dry-run",
    "worker --study tiny",
    "status --study tiny",
    "trials --study tiny -f csv",
    "show 0 --study tiny",
    "confirm --study tiny --top 1 --seeds 2 --test -q",
    "export-best --study tiny",
    "ledger --study tiny",
    "report --study tiny",
    "reproduce 0 --study tiny -q",
    "doctor",
    "stop --study tiny",
    "storage upgrade",
)
REFUSED = (
    "run --study tiny",
    "worker --study tiny",
    "status --study tiny",
    "doctor",
    "dashboard",
    "storage upgrade",
)


def with_secret(url: str, place: str) -> str:
    """The URL of a server that asks for no password, with one in a place that a URL has for it."""
    if place == "options":
        return (
            make_url(url)
            .update_query_dict({"password": SECRET})
            .render_as_string(hide_password=False)
        )
    return make_url(url).set(password=SECRET).render_as_string(hide_password=False)


@pytest.fixture(params=["userinfo", "options"])
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def other_url(postgres: Server) -> Iterator[str]:
    with postgres.database() as url:
        yield url


def stored(url: str) -> str:
    """All that is in a database."""
    engine, tables = create_engine(url), MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return "".join(
            repr(connection.execute(select(table)).all()) for table in tables.sorted_tables
        )


def written(folder: Path) -> str:
    """All that is in the files of a folder, and how they are called."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return "".join(f"{path}\n{path.read_text('latin-1')}" for path in files)


def test_a_secret_is_in_nothing_that_a_walk_leaves(
    tmp_path: Path, postgres_url: str, other_url: str, place: str
):
    """A run, its workers, and every command after it: no output, file, table or argument list has it."""
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 2})
    url, to = with_secret(postgres_url, place), with_secret(other_url, place)
    env = {"PGPASSWORD": SECRET}
    run = start(
        "run",
        "--study",
        "tiny",
        "--storage",
        url,
        cwd=tmp_path,
        env={**with_faults(epoch_s=0.3), **OWN_IMPORTS, **env},
    )
    said = read_until(run, " started ")
    processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
    listed = [" ".join(process.cmdline()) for process in processes]
    assert sum("blade_tune.fleet" in words for words in listed) >= 2  # the fork server, its worker
    assert "--storage postgresql" in listed[0]
    inherited = [{**process.environ(), "PGPASSWORD": ""} for process in processes[1:]]
    ended = finish(run, timeout_s=300.0)
    assert ended.code == 0, ended.err

    walk = [call(*words.split(), "--storage", url, cwd=tmp_path, env=env) for words in WALK]
    walk.append(
        call(
            "storage",
            "copy",
            "--study",
            "tiny",
            "--to",
            to,
            "--storage",
            url,
            cwd=tmp_path,
            env=env,
        )
    )
    walk.append(call("status", "--study", "tiny", cwd=tmp_path, env={"BLADE_TUNE_STORAGE": to}))
    assert [each.code for each in walk] == [0] * len(walk), [each.err for each in walk if each.code]
    shown = "".join(each.out + each.err for each in (ended, *walk))
    for text in (
        said,
        shown,
        str(listed),
        str(inherited),
        written(tmp_path),
        stored(postgres_url),
        stored(other_url),
    ):
        assert TAIL not in text
    assert "***" in shown


def test_a_secret_is_on_no_page_of_the_dashboard(tmp_path: Path, postgres_url: str, place: str):
    """Nor in what the dashboard says of where it is, nor in its arguments."""
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 1})
    url = with_secret(postgres_url, place)
    assert call("run", "--study", "tiny", "--storage", url, "-q", cwd=tmp_path).code == 0
    port = free_port()
    served = start("dashboard", "--storage", url, "--port", str(port), cwd=tmp_path)
    said = read_until(served, "Ctrl-C ends it")
    listed = " ".join(psutil.Process(served.pid).cmdline())
    pages = ("dashboard/", "api/meta", "api/studies", "api/studies/1")
    texts = [
        urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}").read().decode() for page in pages
    ]
    served.send_signal(signal.SIGINT)
    ended = finish(served, timeout_s=300.0)
    assert '"study_name"' in texts[2] or "tiny" in texts[2]
    assert TAIL not in "".join([said, listed, ended.out, ended.err, *texts])


def failing(url: str) -> list[str]:
    """What goes wrong with a connection: nobody listens, no such host, database, option or socket."""
    host = f"postgresql://me:{SECRET}@"
    return [
        f"{host}127.0.0.1:1/db",
        f"{host}nowhere.invalid/db",
        f"postgresql://me@127.0.0.1:1/db?password={SECRET}",
        f"postgresql://me@127.0.0.1:1/db?sslpassword={SECRET}&application_name=x",
        f"{host}/db?host=/nowhere",
        make_url(url).set(database="none", password=SECRET).render_as_string(hide_password=False),
    ]


def refused() -> list[str]:
    """What is no URL of a database, or can be read in two ways."""
    return [
        f"postgresql://me:p@{SECRET}@127.0.0.1:1/db",
        f"postgresql://me:p@x/{SECRET}@127.0.0.1:1/db",
        f"postgresql://me:p@x:{SECRET}@127.0.0.1:1/db",
        f"postgresql://me:p@x?{SECRET}@127.0.0.1:1/db",
        f"postgresql://me@127.0.0.1:1/db?password=p&{SECRET}",
        f"postgresql://me@127.0.0.1:1/db?password=p&x={SECRET}",
        f"postgresql://me@127.0.0.1:1/db?pasword={SECRET}",
        f"postgresql://me:{SECRET}@host:port/db",
        f"mysql://me:{SECRET}@host/db",
        f"me:{SECRET}@host/db",
    ]


@pytest.mark.parametrize("words", REFUSED)
def test_a_secret_is_in_no_error(
    tmp_path: Path, postgres_url: str, words: str, monkeypatch: pytest.MonkeyPatch
):
    """A connection that fails ends in 4, a URL that cannot be meant in 2; as flag, as variable and in a file."""
    monkeypatch.setattr("blade_tune.storage.connect.OUTAGE_S", 0.0)
    write_study(tmp_path / "studies" / "tiny.yaml")
    for codes, urls in (((1, 4), failing(postgres_url)), ((2,), refused())):
        for url in urls:
            ended = call(*words.split(), "--storage", url, cwd=tmp_path)
            assert ended.code in codes, (url, ended)
            assert TAIL not in ended.out + ended.err
    url = refused()[0]
    said = call(*words.split(), cwd=tmp_path, env={"BLADE_TUNE_STORAGE": url})
    (tmp_path / "blade-tune.yaml").write_text(f"storage: ['{url}']\n")
    assert (said.code, "%40" in said.err, TAIL in said.err) == (2, True, False)
    listed: Ended = call(*words.split(), cwd=tmp_path)
    assert (listed.code, TAIL in listed.err) == (2, False), listed
    assert not (tmp_path / "results").exists()


def test_a_mistyped_argument_is_repeated_without_its_secret(tmp_path: Path):
    """Usage errors repeat what was typed."""
    ended = call("status", "--study", "tiny", f"postgresql://me:{SECRET}@host/db", cwd=tmp_path)
    assert (ended.code, "unexpected extra argument (postgresql://me:***@host/db)" in ended.err) == (
        2,
        True,
    )
