"""The class that reads each form of log file, by the ending of its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from blade_tune.data.raw.csv_files import CsvFile, InterFile
from blade_tune.data.raw.encodings import as_utf_8
from blade_tune.data.raw.files import LogFile, folder_of
from blade_tune.data.raw.find import find
from blade_tune.data.raw.json_files import JsonArrayFile, JsonLinesFile, is_array
from blade_tune.data.raw.parquet_files import ParquetFile
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.raw.unpack import PlainFile
from blade_tune.errors import DataError

SEPARATED = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
LINES = (".jsonl", ".ndjson")
FORMS = (*SEPARATED, ".json", *LINES, ".parquet")


@dataclass(frozen=True)
class LogPart:
    """Files of a log whose columns are called alike; a log may have several such parts."""

    source: Path  # a file, an archive, a folder or a pattern
    form: LogFormat
    files: tuple[str, ...] = ()  # names of the only files that are meant in an archive or a folder


def open_log(
    parts: Sequence[LogPart], database: duckdb.DuckDBPyConnection, scratch: Path
) -> list[LogFile]:
    """Return each file of a log as the class that reads files with its ending, unpacked if necessary.

    Args:
        parts: those of the log, in the order in which they are read.
        database: the scratch database.
        scratch: folder for unpacked files.

    Raises:
        DataError: a file is missing or damaged, its ending is unknown, or it is not in its encoding.
    """
    files = []
    for number, part in enumerate(parts):
        for file in find(part.source, part.files, scratch / f"part-{number}"):
            files.append(_opened(file, database, part.form))
    return files


def ending_of(file_name: str, shown: str) -> str:
    """Return the ending of an unpacked file's name, which tells its form.

    Args:
        file_name: the name.
        shown: how errors call the file.

    Raises:
        DataError: no file of this ending is read.
    """
    suffix = Path(file_name).suffix.lower()
    if suffix not in FORMS:
        raise DataError(
            f"{shown}: must end in one of {', '.join(FORMS)} (also .gz, .bz2, .xz, .zst, or in a .zip or .tar), got "
            f"{suffix or 'nothing'}."
        )
    return suffix


def _opened(file: PlainFile, database: duckdb.DuckDBPyConnection, form: LogFormat) -> LogFile:
    suffix = ending_of(file.path.name, file.name)
    if suffix == ".parquet":
        return ParquetFile(file, database, form)
    file = as_utf_8(file, form.encoding, folder_of(database))
    if suffix in SEPARATED:
        # Split files, whose columns have fixed places, are .txt files without a header
        is_split = suffix == ".txt" and form == LogFormat.of_split_files(form.behaviors)
        reader = InterFile if suffix == ".inter" else CsvFile
        return reader(file, database, form, form.used if is_split else form.header)
    if suffix not in LINES and is_array(file.path):
        return JsonArrayFile(file, database, form)
    return JsonLinesFile(file, database, form)
