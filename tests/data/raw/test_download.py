"""Downloads from a real server on loopback: whole and right, or one line and nothing that looks finished."""

import hashlib
import io
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from blade_tune.cli import data_get
from blade_tune.data.raw import datasets, download
from blade_tune.data.raw.datasets import Download
from blade_tune.errors import DataError
from tests.cli.program import Ended, call

ARCHIVE = bytes(range(256)) * 2**11  # half a megabyte
HALF = len(ARCHIVE) // 2


@dataclass
class Behavior:
    """What the server does, and what it was asked."""

    status: int = 200
    stops: int = 0  # so many answers end half-way through what they promise
    failures: int = 0  # so many answers are 503 first
    honors_range: bool = True
    says_length: bool = True
    content: bytes = ARCHIVE
    ranges: list[str | None] = field(default_factory=list)


@dataclass(frozen=True)
class Server:
    """A server that has one archive."""

    url: str
    behavior: Behavior

    def download(self, content: bytes = ARCHIVE) -> Download:
        md5 = hashlib.md5(content).hexdigest()  # noqa: S324
        return Download(url=f"{self.url}/archive.zip", md5=md5, megabytes=0.5)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves until the test ends; waits between attempts are short."""
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.01)
    behavior = Behavior()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            behavior.ranges.append(asked)
            if behavior.failures or behavior.status != 200:
                behavior.failures -= 1 if behavior.failures else 0
                self.send_error(behavior.status if behavior.status != 200 else 503)
                return
            first = (
                int(asked.removeprefix("bytes=").rstrip("-"))
                if asked and behavior.honors_range
                else 0
            )
            if first >= len(behavior.content):
                self.send_error(416)
                return
            body = behavior.content[first:]
            self.send_response(206 if first else 200)
            if behavior.says_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if behavior.stops:
                behavior.stops -= 1
                body = body[: len(body) // 2]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{http.server_address[1]}", behavior)
        finally:
            http.shutdown()
            thread.join()


def fetch(server: Server, folder: Path, content: bytes = ARCHIVE) -> Path:
    return download.get(server.download(content), folder, lambda *_: None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_comes_is_what_was_there(server: Server, tmp_path: Path) -> None:
    """All bytes, under the archive's name, progress up to the last; asked again, nothing is asked of the server."""
    seen: list[tuple[int, int | None]] = []
    path = download.get(
        server.download(), tmp_path, lambda there, total: seen.append((there, total))
    )
    assert path.read_bytes() == ARCHIVE
    assert names(tmp_path) == ["archive.zip"]
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert fetch(server, tmp_path) == path
    assert server.behavior.ranges == [None]


def test_a_server_that_stops_is_asked_for_the_rest(server: Server, tmp_path: Path) -> None:
    """Half, then half of the rest, then the rest: no byte is asked for twice."""
    server.behavior.stops, server.behavior.failures = 2, 0
    assert fetch(server, tmp_path).read_bytes() == ARCHIVE
    assert server.behavior.ranges == [None, f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"]


def test_a_server_that_keeps_stopping_keeps_what_came(server: Server, tmp_path: Path) -> None:
    """After its attempts the error says how much is there; nothing has the archive's name; the next call goes on."""
    server.behavior.stops = 100
    with pytest.raises(
        DataError, match=r"stopped half-way.*; [\d,]+ bytes are kept, and the same command goes on"
    ) as error:
        fetch(server, tmp_path)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == [".archive.zip.part"]
    there = (tmp_path / ".archive.zip.part").stat().st_size
    assert HALF < there < len(ARCHIVE)
    server.behavior.stops = 0
    assert fetch(server, tmp_path).read_bytes() == ARCHIVE
    assert server.behavior.ranges[-1] == f"bytes={there}-"
    assert names(tmp_path) == ["archive.zip"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    """Where the server sends all of it again, what was there is not kept in front."""
    server.behavior.stops, server.behavior.honors_range = 1, False
    assert fetch(server, tmp_path).read_bytes() == ARCHIVE


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    """503 twice, then the archive."""
    server.behavior.failures = 2
    assert fetch(server, tmp_path).read_bytes() == ARCHIVE
    assert len(server.behavior.ranges) == 3


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (503, download.ATTEMPTS)])
def test_a_server_that_does_not_give_it(
    server: Server, tmp_path: Path, status: int, attempts: int
) -> None:
    """The server's own word, in one line; only what may pass is tried again; nothing is there."""
    server.behavior.status = status
    with pytest.raises(
        DataError, match=rf"^{server.url}/archive\.zip: the server says {status} \w[\w ]+[;.]"
    ) as error:
        fetch(server, tmp_path)
    assert "\n" not in str(error.value)
    assert len(server.behavior.ranges) == attempts
    assert names(tmp_path) == []


@pytest.mark.parametrize("says_so", [True, False])
def test_an_endless_download_ends(server: Server, tmp_path: Path, says_so: bool) -> None:
    """What is larger than the owner says by more than a tenth is refused, said or not, and nothing of it is kept."""
    server.behavior.content, server.behavior.says_length = ARCHIVE * 3, says_so
    with pytest.raises(
        DataError, match=r"must have at most 550,000 bytes, and the server gives more\.$"
    ):
        fetch(server, tmp_path)
    assert names(tmp_path) == []


def test_no_link_is_followed(server: Server, tmp_path: Path) -> None:
    """A link in the place of the beginnings is refused, and what it leads to is left alone."""
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "archives").mkdir()
    part = tmp_path / "archives" / ".archive.zip.part"
    part.symlink_to(tmp_path / "mine")
    with pytest.raises(
        DataError, match=r"\.part: must be a file of its own, and is a link to .*mine; remove it\.$"
    ):
        fetch(server, tmp_path / "archives")
    with pytest.raises(OSError, match="symbolic link"):
        open(part, "ab", opener=download._no_link)  # noqa: SIM115 - nothing is opened
    assert (tmp_path / "mine").read_text() == "precious"


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot be reached is said in one line."""
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.01)
    with pytest.raises(DataError, match=r"not to be reached; 0 bytes are kept"):
        download.get(
            Download(url="http://127.0.0.1:9/archive.zip", md5="0" * 32, megabytes=1),
            tmp_path,
            lambda *_: None,
        )


@pytest.mark.parametrize("is_longer", [False, True])
def test_other_bytes_are_refused(server: Server, tmp_path: Path, is_longer: bool) -> None:
    """What has another checksum is thrown away, its beginnings too, so that the next call starts anew."""
    server.behavior.content = ARCHIVE + b"x" if is_longer else ARCHIVE[:-1] + b"x"
    with pytest.raises(
        DataError, match=r"must have the md5 [0-9a-f]{32}, and what came has another\.$"
    ):
        fetch(server, tmp_path)
    assert names(tmp_path) == []


def test_wrong_beginnings_are_refused(server: Server, tmp_path: Path) -> None:
    """A part that is longer than the archive, or another's, ends in the checksum's refusal, once."""
    (tmp_path / ".archive.zip.part").write_bytes(b"x" * (len(ARCHIVE) + 1))
    with pytest.raises(DataError, match="must have the md5"):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == ARCHIVE


@pytest.fixture
def owner(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """KuaiSAR's owner is the server."""
    known = datasets.KNOWN_LOGS["kuaisar"]
    changed = known.model_copy(update={"downloads": {"v2": server.download()}})
    monkeypatch.setattr(data_get, "KNOWN_LOGS", {**datasets.KNOWN_LOGS, "kuaisar": changed})
    return server


def get(folder: Path, *words: str) -> Ended:
    return call("data", "get", *words, cwd=folder)


def test_a_license_is_shown_and_accepted(owner: Server, tmp_path: Path) -> None:
    """Without a yes nothing is asked of the server; with one the archive is there and the next command is named."""
    refused = get(tmp_path, "kuaisar")
    assert (refused.code, refused.out, owner.behavior.ranges) == (2, "", [])
    assert "CC BY-NC-SA 4.0" in refused.err
    assert refused.err.endswith(
        "Error: the license of kuaisar must be accepted: add --accept-license.\n"
    )
    accepted = get(tmp_path, "kuaisar", "--accept-license")
    assert (accepted.code, accepted.out) == (0, "data/archives/archive.zip\n")
    assert "archive.zip bytes=" in accepted.err
    assert accepted.err.endswith(
        "next: blade-tune data prepare kuaisar --source data/archives/archive.zip\n"
    )
    assert (tmp_path / accepted.out.strip()).read_bytes() == ARCHIVE


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
def test_a_person_is_asked(
    owner: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    """On a terminal the license is a question; only a yes asks anything of the server."""
    terminal = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    ended = get(tmp_path, "kuaisar")
    assert "Do you accept it? [y/N]" in ended.err
    assert ended.code == code
    assert len(owner.behavior.ranges) == (code == 0)


def test_an_archive_that_is_here_is_checked_and_taken(owner: Server, tmp_path: Path) -> None:
    """`--from` asks nothing of the server; another file is refused, and nothing is written."""
    (tmp_path / "mine.zip").write_bytes(ARCHIVE)
    (tmp_path / "other.zip").write_bytes(b"other")
    for name, law in (
        ("other.zip", "must be archive.zip with the md5"),
        ("none.zip", "no such file"),
    ):
        refused = get(tmp_path, "kuaisar", "--accept-license", "--from", name)
        assert refused.code == 2
        assert re.fullmatch(
            rf"Error: {name}: {law}[^\n]*\n", refused.err.splitlines(keepends=True)[-1]
        )
    assert names(tmp_path) == ["mine.zip", "other.zip"]
    assert get(tmp_path, "kuaisar", "--accept-license", "--from", "mine.zip").code == 0
    assert (tmp_path / "data" / "archives" / "archive.zip").read_bytes() == ARCHIVE
    assert owner.behavior.ranges == []


@pytest.mark.parametrize("name", sorted({*datasets.KNOWN_LOGS} - {"kuaisar"}))
def test_what_is_not_downloaded_says_where_it_is_had(tmp_path: Path, name: str) -> None:
    """Of its owner, under which license, and what to do then."""
    ended = get(tmp_path, name, "--accept-license")
    assert ended.code == 2
    license_ = re.escape(datasets.KNOWN_LOGS[name].license)
    assert re.search(
        rf"is not downloaded from here; .*{license_}.* at https?://\S+\. Then: blade-tune data prepare",
        ended.err,
    )
    assert names(tmp_path) == []


def test_an_unknown_version_is_named(tmp_path: Path) -> None:
    """The versions are listed."""
    ended = get(tmp_path, "kuaisar", "--accept-license", "--version", "v3")
    assert ended.err == "Error: --version must be one of v2, small, got v3.\n"
