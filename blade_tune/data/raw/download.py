"""Downloads of archives that resume after an interruption and are checked before they get their final name."""

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

CHUNK_BYTES = 2**16  # most that is lost when a connection breaks
TIMEOUT_S = 60.0
ATTEMPTS = 4
MOST = 1.1  # times the size that the owner says: megabytes may be 10**6 or 2**20 bytes
FIRST_WAIT_S = 1.0  # doubled before each further attempt

# Called with the bytes so far and the total, None if unknown
OnBytes = Callable[[int, int | None], object]

log = logging.getLogger(__name__)
pooch.get_logger().setLevel(logging.ERROR)


class _InterruptedError(Exception):
    """The server stopped half-way or could not be reached; another attempt may succeed."""


def get(download: Download, directory: Path, on_bytes: OnBytes) -> Path:
    """Download an archive to a directory, unless it is there already.

    An interrupted download resumes where it stopped. Its bytes stay in a hidden file `.NAME.part` until all have
    arrived.

    Args:
        download: the archive's URL, checksum and size.
        directory: where the archive is kept.
        on_bytes: called after each chunk with the bytes so far and the total.

    Returns:
        The path of the archive.

    Raises:
        DataError: the server does not answer, refuses, or sends a file with another checksum or size.
    """
    part = directory / f".{download.file_name}.part"
    with folder.writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    if part.is_symlink():
        raise DataError(
            f"{part}: must be a file of its own, and is a link to {part.readlink()}; remove it."
        )
    try:
        pooch.retrieve(
            download.url,
            known_hash=f"md5:{download.md5}",
            fname=download.file_name,
            path=directory,
            downloader=_Resuming(part, int(MOST * download.megabytes * 1e6), on_bytes),
        )
    except _InterruptedError as error:
        num_bytes = part.stat().st_size if part.exists() else 0
        raise DataError(
            f"{download.url}: {error}; {num_bytes:,} bytes are kept, and the same command goes on from there."
        ) from None
    except _RefusedError as error:
        raise DataError(f"{download.url}: {error}.") from None
    except requests.RequestException as error:
        raise DataError(f"{download.url}: cannot be downloaded ({error}).") from None
    except ValueError:  # the checksum differs; pooch's own message is several lines long
        raise DataError(
            f"{download.url}: must have the md5 {download.md5}, and what came has another."
        ) from None
    return directory / download.file_name


def take(download: Download, archive: Path, directory: Path) -> Path:
    """Copy an archive that the user has downloaded already to a directory, after a check of its MD5.

    Args:
        download: the archive that the file should be.
        archive: the user's file.
        directory: where the archive is kept.

    Returns:
        The path of the copy.

    Raises:
        DataError: the file is missing, or is another one.
    """
    if not archive.is_file():
        raise DataError(f"{archive}: no such file.")
    with archive.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 != download.md5:
        raise DataError(
            f"{archive}: must be {download.file_name} with the md5 {download.md5}, got {md5}."
        )
    final = directory / download.file_name
    if final.exists() and final.samefile(archive):
        return final
    with folder.whole_file(final) as new:
        shutil.copyfile(archive, new)
    return final


class _RefusedError(Exception):
    """The server refuses the download or sends too many bytes; another attempt would not help."""


class _Resuming:
    """A downloader for pooch that keeps the bytes of earlier attempts and requests only the rest.

    Args:
        part: file that collects the bytes.
        most_bytes: size in bytes beyond which a download is refused, so that no server can fill the disk.
        on_bytes: called after each chunk with the bytes so far and the total.
    """

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
        # Pooch checks the file there, and removes it if its checksum differs.
        self._part.replace(output_file)

    def _fetch(self, url: str) -> None:
        there = self._part.stat().st_size if self._part.exists() else 0
        # No compression on the way: a range must count the bytes of the file itself.
        headers = {"Accept-Encoding": "identity"}
        if there:
            headers["Range"] = f"bytes={there}-"
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                answer = f"{response.status_code} {response.reason}"
                if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    # Nothing is left to send: the file is complete, or wrong, which its checksum will tell
                    return
                if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise _InterruptedError(f"the server says {answer}")
                if not response.ok:
                    raise _RefusedError(f"the server says {answer}")
                # A server that ignores ranges sends the whole file with 200: then the file is begun again.
                continues = response.status_code == HTTPStatus.PARTIAL_CONTENT
                self._save(response, there if continues else 0)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            log.debug("url=%s error=%s", url, error)
            raise _InterruptedError(
                "the server stopped half-way or was not to be reached"
            ) from None

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
            raise _RefusedError(
                f"must have at most {self._most_bytes:,} bytes, and the server gives more"
            )


def _no_link(path: str, flags: int) -> int:
    """Open a file as `open` does, but fail if it is a symbolic link, which could point to any file of the user."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
