"""Archives from their owner's server: continued where they stopped, checked, and there whole or not at all."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pooch
import requests
import tenacity

from blade_tune.data import folder
from blade_tune.data.raw.datasets import Download
from blade_tune.errors import DataError

CHUNK_BYTES = 2**16  # of what came last, so much may be lost where a connection breaks
TIMEOUT_S = 60.0
ATTEMPTS = 4
MOST = 1.1  # of the size that the owner says, whose megabytes may be of either kind
FIRST_WAIT_S = 1.0  # twice as long before each next attempt

OnBytes = Callable[[int, int | None], object]  # bytes that are there, and of how many

log = logging.getLogger(__name__)
pooch.get_logger().setLevel(logging.ERROR)


class _InterruptedError(Exception):
    """The server stopped half-way, or was not to be reached; another attempt may help."""


def get(download: Download, directory: Path, on_bytes: OnBytes) -> Path:
    """The archive in a directory, from its server unless it is there already.

    A download that stopped goes on from where it was. Its bytes lie in a hidden file until all are there and right.

    Raises:
        DataError: the server does not answer, does not have it, or gives something else.
    """
    part = directory / f".{download.file_name}.part"
    with folder.writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    if part.is_symlink():
        raise DataError(f"{part}: must be a file of its own, and is a link to {part.readlink()}; remove it.")
    try:
        pooch.retrieve(
            download.url,
            known_hash=f"md5:{download.md5}",
            fname=download.file_name,
            path=directory,
            downloader=_Resuming(part, int(MOST * download.megabytes * 1e6), on_bytes),
        )
    except _InterruptedError as error:
        there = part.stat().st_size if part.exists() else 0
        raise DataError(
            f"{download.url}: {error}; {there:,} bytes are kept, and the same command goes on from there."
        ) from None
    except _RefusedError as error:
        raise DataError(f"{download.url}: {error}.") from None
    except requests.RequestException as error:
        raise DataError(f"{download.url}: cannot be downloaded ({error}).") from None
    except ValueError:  # pooch's words on the checksum are many
        raise DataError(f"{download.url}: must have the md5 {download.md5}, and what came has another.") from None
    return directory / download.file_name


def take(download: Download, archive: Path, directory: Path) -> Path:
    """The archive in a directory, copied from a file that is here already.

    Raises:
        DataError: it is missing, or is not that archive.
    """
    if not archive.is_file():
        raise DataError(f"{archive}: no such file.")
    with archive.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 != download.md5:
        raise DataError(f"{archive}: must be {download.file_name} with the md5 {download.md5}, got {md5}.")
    final = directory / download.file_name
    if final.exists() and final.samefile(archive):
        return final
    with folder.whole_file(final) as new:
        shutil.copyfile(archive, new)
    return final


class _RefusedError(Exception):
    """The server does not give it, or something of another size."""


class _Resuming:
    """A downloader for pooch that keeps what came, and asks for the rest only."""

    def __init__(self, part: Path, most_bytes: int, on_bytes: OnBytes) -> None:
        self._part, self._most_bytes, self._on_bytes = part, most_bytes, on_bytes

    def __call__(self, url: str, output_file: str, _: object) -> None:
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_InterruptedError),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=FIRST_WAIT_S),
            reraise=True,
        )
        attempts(self._fetch, url)
        self._part.replace(output_file)  # pooch checks it there, and removes it where it is wrong

    def _fetch(self, url: str) -> None:
        there = self._part.stat().st_size if self._part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                answer = f"{response.status_code} {response.reason}"
                if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # all is there, or what is there is wrong, which its checksum tells
                if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise _InterruptedError(f"the server says {answer}")
                if not response.ok:
                    raise _RefusedError(f"the server says {answer}")
                self._save(response, there if response.status_code == HTTPStatus.PARTIAL_CONTENT else 0)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            log.debug("url=%s error=%s", url, error)
            raise _InterruptedError("the server stopped half-way or was not to be reached") from None

    def _save(self, response: requests.Response, there: int) -> None:
        length = response.headers.get("Content-Length")
        total = there + int(length) if length else None
        if total is not None:
            self._check_size(total)
        with open(self._part, "ab" if there else "wb", opener=_no_link) as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                there += len(chunk)
                self._check_size(there)
                file.write(chunk)
                self._on_bytes(there, total)

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            self._part.unlink(missing_ok=True)
            raise _RefusedError(f"must have at most {self._most_bytes:,} bytes, and the server gives more")


def _no_link(path: str, flags: int) -> int:
    """Open a file, but none that a link leads to."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
