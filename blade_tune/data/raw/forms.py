"""The class that reads each form of log file, by the ending of its name."""

from collections.abc import Sequence

import duckdb

from blade_tune.data.raw.csv_files import CsvFile, InterFile
from blade_tune.data.raw.encodings import as_utf_8
from blade_tune.data.raw.files import LogFile, folder_of
from blade_tune.data.raw.json_files import JsonArrayFile, JsonLinesFile, is_array
from blade_tune.data.raw.parquet_files import ParquetFile
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.raw.unpack import PlainFile
from blade_tune.errors import DataError

SEPARATED = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
LINES = (".jsonl", ".ndjson")
FORMS = (*SEPARATED, ".json", *LINES, ".parquet")


def open_log(
    files: Sequence[PlainFile], database: duckdb.DuckDBPyConnection, form: LogFormat
) -> list[LogFile]:
    """Return each file of a log as the class that reads files with its ending.

    Args:
        files: where the files are, and their names in errors.
        database: the scratch database.
        form: the encoding of text files, and the names of columns without a header.

    Raises:
        DataError: an ending is unknown, or a file is not in that encoding.
    """
    return [_opened(file, database, form) for file in files]


def _opened(file: PlainFile, database: duckdb.DuckDBPyConnection, form: LogFormat) -> LogFile:
    suffix = file.path.suffix.lower()
    if suffix == ".parquet":
        return ParquetFile(file, database)
    if suffix not in FORMS:
        raise DataError(
            f"{file.name}: must end in one of {', '.join(FORMS)} (also .gz, .bz2, .xz, .zst, or in a .zip or .tar), "
            f"got {suffix or 'nothing'}."
        )
    file = as_utf_8(file, form.encoding, folder_of(database))
    if suffix in SEPARATED:
        # Split files, whose columns have fixed places, are .txt files without a header
        is_split = suffix == ".txt" and form == LogFormat.of_split_files(form.behaviors)
        reader = InterFile if suffix == ".inter" else CsvFile
        return reader(file, database, form.used if is_split else form.header)
    if suffix not in LINES and is_array(file.path):
        return JsonArrayFile(file, database)
    return JsonLinesFile(file, database)
