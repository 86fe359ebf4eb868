"""The shell of a reader in which `blade-tune` is this process, which spares the seconds that importing torch takes."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import PREFIX, PROGRAM, call, environment

LONGEST_S = 300.0  # between two commands
POLL_S = 0.02
# What the shell finds as `blade-tune`: it asks the test's process, but for a server, which is a process of its own
ASKING = f"""#!{sys.executable} -IS
import json, os, socket, sys
words = sys.argv[1:]
if words[0] == "serve":
    os.execv({PROGRAM!r}, [{PROGRAM!r}, *words])
asking = socket.socket(socket.AF_UNIX)
asking.connect(os.path.join(os.path.dirname(sys.argv[0]), "socket"))
env = {{name: value for name, value in os.environ.items() if name.startswith({PREFIX!r})}}
asking.sendall(json.dumps([words, os.getcwd(), env]).encode() + b"\\n")
code, out, err = json.load(asking.makefile())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
# All is installed already
PIP = "#!/bin/sh\n"


def type_in(
    commands: str, cwd: Path, env: Mapping[str, str] = {}, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run commands of a page in bash as a reader would; each must go well, but for the last, which ends in a code."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, text in (("blade-tune", ASKING), ("pip", PIP)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(folder / "socket"))
        listening.listen()
        listening.settimeout(POLL_S)
        out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
        inherited = environment(cwd, env)
        scripts = sysconfig.get_path("scripts")
        path = f"{folder}:{scripts}:{inherited['PATH']}"
        process = stack.enter_context(
            subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", commands],
                cwd=cwd,
                env={**inherited, "PATH": path},
                stdout=out,
                stderr=err,
                text=True,
            )
        )
        stack.callback(process.kill)
        asked = time.monotonic()
        while process.poll() is None:
            with contextlib.suppress(TimeoutError):
                answer(listening)
                asked = time.monotonic()
            assert time.monotonic() < asked + LONGEST_S, commands
        for stream in (out, err):
            stream.seek(0)
        ended = subprocess.CompletedProcess(commands, process.returncode, out.read(), err.read())
    assert ended.returncode == code, ended.stderr
    return ended


def answer(listening: socket.socket) -> None:
    """Run the command that a process of the shell asks for; raises TimeoutError where none does."""
    asking, _ = listening.accept()
    with asking, asking.makefile("rw") as stream:
        words, folder, env = json.loads(stream.readline())
        ended = call(*words, cwd=Path(folder), env=env)
        json.dump([ended.code, ended.out, ended.err], stream)


def type_in_python(words: str, cwd: Path, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run Python of a page in this process as a notebook would; gives the names that it has then."""
    names = {"__name__": "__main__"} if names is None else names
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(cwd)
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(cwd / "no-config"))
        patch.setenv("OMP_NUM_THREADS", "1")
        exec(compile(words, "<page>", "exec"), names)  # noqa: S102 - our own page
    return names
