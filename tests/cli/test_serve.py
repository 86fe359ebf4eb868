"""The command `serve`: what `recommend` prints comes out over HTTP, and it ends when it is asked to."""

import csv
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.program import call, do, finish, read_until, start

BEHAVIORS = ("click", "like", "share", "follow")
HISTORIES = {
    "1": [("3", ["click"]), ("9", ["click", "like"])],
    "5": [("9", ["share"]), ("3", ["follow"]), ("20", ["like"])],
    "777": [("12", ["like", "share"])],
}


@pytest.fixture(scope="module")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundle `best` of the finished study."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("served") / "copy")
    do(folder, "export-best --study tiny --out best -q")
    return folder


@contextmanager
def serving(cwd: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server as a process of its own, and its URL; killed after the block."""
    process = start(
        "serve", "--bundle", "best", "--port", "0", *words, cwd=cwd, stdout=subprocess.DEVNULL
    )
    with process:
        try:
            said = read_until(process, "(Ctrl-C ends it)")
            found = re.search(r"on (http://\S+)", said)
            assert found is not None, said
            yield process, found[1]
        finally:
            process.kill()


def post(url: str, **body: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}recommend", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def printed(folder: Path, users: list[str], *words: str) -> dict[str, list[tuple[str, np.float32]]]:
    """What `recommend` prints for some of the users, with scores as the numbers that they are."""
    with (folder / "users.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", *BEHAVIORS])
        for user in users:
            for item, names in HISTORIES[user]:
                writer.writerow([user, item, *(int(name in names) for name in BEHAVIORS)])
    ended = call("recommend", "--bundle", "best", "--users", "users.csv", *words, cwd=folder)
    assert ended.code == 0, ended.err
    lists: dict[str, list[tuple[str, np.float32]]] = {}
    for row in csv.DictReader(io.StringIO(ended.out)):
        lists.setdefault(row["user"], []).append((row["item"], np.float32(row["score"])))
    return lists


def test_what_is_served_is_what_recommend_prints(exported: Path) -> None:
    """Items and scores to the bit, for users in one request and alone; a signal ends it well, with what has begun."""
    with serving(exported, "--threads", "2") as (process, url):
        for users in ([*HISTORIES], ["1"], ["777"]):
            asked = {user: HISTORIES[user] for user in users}
            answered = post(url, histories=asked, target=["like"], k=7)
            found = {
                user: [(item, np.float32(score)) for item, score in items]
                for user, items in answered["recommendations"].items()
            }
            assert found == printed(exported, users, "--target", "like", "-k", "7")
            assert all(len(items) == 7 for items in found.values())

        # A request whose body comes after the signal is answered
        host, port = re.findall(r"//(.*):(\d+)/", url)[0]
        body = json.dumps({"histories": HISTORIES}).encode()
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            head = (
                f"POST /recommend HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
            )
            connection.sendall(head.encode())
            assert b"100 Continue" in connection.recv(4096)  # the server waits for the body
            process.send_signal(signal.SIGTERM)
            connection.sendall(body)
            answer = connection.makefile("rb").read()
        assert b"200 OK" in answer
        assert b'"recommendations"' in answer
        ended = finish(process)
    assert (ended.code, ended.err) == (0, "")


def test_ctrl_c_ends_it_well_and_a_taken_port_is_named(exported: Path) -> None:
    """Exit code 0 without a traceback; another server on its port is refused in one line."""
    with serving(exported) as (process, url):
        port = re.findall(r":(\d+)/", url)[0]
        ended = call("serve", "--bundle", "best", "--port", port, cwd=exported)
        error = f"Error: --port must be a free one, got {port}: Address already in use."
        assert (ended.code, ended.err.splitlines()[-1]) == (2, error)
        process.send_signal(signal.SIGINT)
        ended = finish(process)
    assert (ended.code, ended.err) == (0, "")


def test_an_address_for_others_is_warned_of(exported: Path) -> None:
    """There is no login, and that is said before it listens; an address of elsewhere is refused."""
    ended = call("serve", "--bundle", "best", "--host", "192.0.2.1", "--port", "0", cwd=exported)
    assert ended.code == 2
    *_, warning, error = ended.err.splitlines()
    assert warning.startswith("WARNING no login: anyone who reaches 192.0.2.1")
    assert error.startswith("Error: --host must be this machine's, got '192.0.2.1'")


def test_without_the_extra_it_says_how_to_install_it(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the command, code 2; a wrong folder is said before that."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ended = call("serve", "--bundle", "best", cwd=exported)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("run: pip install 'blade-tune[serve]'.\n")
    assert "must be a bundle" in call("serve", "--bundle", "nowhere", cwd=exported).err
