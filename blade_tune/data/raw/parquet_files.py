"""Log files of Parquet."""

from collections.abc import Sequence
from typing import ClassVar

from blade_tune.data.raw.files import LogFile, Reasons, place, quoted
from blade_tune.errors import DataError

# A file with more rows than both allow was made to fill a disk
MAX_ROWS, ROWS_PER_BYTE = 10**8, 250
INT96 = 'STRUCT(date DATE, "time" TIME_NS)'  # how the database reads times of old files
DECIMAL_DIGITS = 38  # most digits of the database's decimals; longer ones are read as doubles
FRACTIONAL = ("FLOAT", "DOUBLE", "DECIMAL")
NESTED = ("STRUCT", "MAP", "UNION")


class ParquetFile(LogFile):
    """A Parquet file; a value without a fraction is read as a whole number, whatever its column's type."""

    reasons: ClassVar[Reasons] = (
        (
            r"magic bytes|[Ff]ooter|metadata|[Tt]hrift|[Cc]orrupt|[Dd]ecompress",
            "is no whole Parquet file",
        ),
    )

    def columns(self) -> list[str]:
        """Return the names in the schema."""
        return list(self._types())

    def _check(self, known: list[str], names: Sequence[str]) -> None:
        super()._check(known, names)
        with self.explained():
            path = place(self.path)
            counted = f"SELECT sum(num_rows) FROM parquet_file_metadata({path})"
            ((num_rows,),) = self._database.execute(counted).fetchall()
            long = f"SELECT name, precision FROM parquet_schema({path}) WHERE precision > {DECIMAL_DIGITS}"
            digits_of_long = dict(self._database.execute(long).fetchall())

        size = self.path.stat().st_size
        if num_rows > max(MAX_ROWS, ROWS_PER_BYTE * size):
            raise DataError(
                f"{self.name}: must have at most {ROWS_PER_BYTE} rows a byte, got {num_rows:,} rows in {size:,} bytes; "
                "write it as CSV where that is meant."
            )
        kinds = self._types()
        for name in names:
            kind = kinds.get(name, "")
            if kind.endswith("]") or (kind.startswith(NESTED) and kind != INT96):
                raise DataError(
                    f"{self.name}: {name} must be a plain column, got {kind[:80]}; write the value that is meant as a "
                    "column of its own."
                )
            if name in digits_of_long:
                raise DataError(
                    f"{self.name}: {name} must have at most {DECIMAL_DIGITS} digits, for more are rounded when they "
                    f"are read, got decimals of {digits_of_long[name]}; write it as text."
                )

    def _types(self) -> dict[str, str]:
        with self.explained():
            described = self._database.execute(f"DESCRIBE SELECT * FROM {self._read(())}")
            rows = described.fetchall()
        return {name: kind for name, kind, *_ in rows}

    def _read(self, names: Sequence[str]) -> str:  # noqa: ARG002 - it reads what is asked of it only
        # Times that are read as a struct keep their nanoseconds.
        return f"read_parquet({place(self.path)}, int96_as = 'struct', hive_partitioning = false)"

    def _text(self, name: str) -> str:
        column, kind = quoted(name), self._types()[name]
        if kind == INT96:
            return f"{column}.date::VARCHAR || ' ' || {column}.time::VARCHAR"
        if not kind.startswith(FRACTIONAL):
            return f"{column}::VARCHAR"
        # A number without a fraction, if it fits the database's largest integers
        fits = f"isfinite({column}::DOUBLE) AND abs({column}::DOUBLE) < 1e38"
        is_whole = f"{fits} AND {column} = trunc({column})"
        return f"CASE WHEN {is_whole} THEN {column}::HUGEINT::VARCHAR ELSE {column}::VARCHAR END"
