"""Text files of other encodings, copied as UTF-8 for the database."""

import codecs
from pathlib import Path

from blade_tune.data.raw.unpack import CHUNK_BYTES, PlainFile
from blade_tune.errors import DataError

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def as_utf_8(file: PlainFile, encoding: str | None, folder: Path) -> PlainFile:
    """Return a file of text, or its copy in UTF-8 if it has another encoding.

    Args:
        file: where the file is, and its name in errors.
        encoding: that of the file; None is UTF-8, or UTF-16 where a byte order mark says so.
        folder: where the copy is written.

    Raises:
        DataError: the file has bytes that are nothing in this encoding.
    """
    with file.path.open("rb") as opened:
        marked = opened.read(2) in UTF_16_MARKS
    encoding = encoding or ("utf-16" if marked else "utf-8")
    if codecs.lookup(encoding).name == "utf-8":
        return file
    folder = folder / f"decoded-{len(list(folder.glob('decoded-*')))}"
    folder.mkdir()
    copy = folder / file.path.name
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with file.path.open("rb") as opened, copy.open("wb") as written:
        while chunk := opened.read(CHUNK_BYTES):
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                raise _undecodable(
                    file, encoding, line + chunk.count(b"\n", 0, error.start)
                ) from None
            line += text.count("\n")
            written.write(text.encode())
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise _undecodable(file, encoding, line) from None
    return PlainFile(copy, file.name, file.partition)


def _undecodable(file: PlainFile, encoding: str, line: int) -> DataError:
    return DataError(
        f"{file.name}:{line}: must be {encoding} text; name another encoding with --encoding."
    )
