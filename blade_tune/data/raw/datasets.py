"""Known public logs, each as its owner publishes it: a table of `known/NAME.yaml`, looked up by the log's name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from blade_tune.config import Settings, parse, read_yaml
from blade_tune.data.raw.settings import LogFormat

FOLDER = Path(__file__).parent / "known"

# Name of a file, or a pattern of names -> fields of its LogFormat beside those that all files of the log share
Files = Mapping[str, Mapping[str, Any]]


class Download(Settings):
    """A file to download from the server of the data's owner."""

    url: str
    md5: str = Field(description="in hexadecimal digits")
    megabytes: float = Field(description="roughly, as the owner says")

    @property
    def file_name(self) -> str:
        """Name of the file, the last part of its URL."""
        return self.url.rpartition("/")[2]


class KnownLog(Settings):
    """A log as its owner publishes it: its files, what their columns mean, and where it comes from."""

    title: str = Field(description="what the log is of, for its command's help")
    page: str = Field(description="URL of the owner's page")
    license: str = Field(description="as the owner states it")
    example: str = Field(description="name of the owner's archive or file, for examples")
    behaviors: tuple[str, ...]
    auxiliary: str | None = Field(description="the behavior that is no target; null if all are")
    log: Mapping[str, Any] = Field({}, description="fields of LogFormat that all files share")
    files: Files = Field({}, description="all of them, of a log without versions")
    versions: Mapping[str, Files] = Field({}, description="the files of each, all of them")
    note: str = Field("", description="what a user must know of it, in sentences")
    downloads: Mapping[str, Download] = Field(
        {}, description="by version; none if the owner gives the data only to those who sign for it"
    )

    @model_validator(mode="after")
    def _has_files(self) -> Self:
        if bool(self.files) == bool(self.versions):
            raise ValueError("a log has either files or versions")
        for version in self.by_version:
            self.forms(version)
        return self

    @property
    def by_version(self) -> Mapping[str, Files]:
        """The files of each version; a log without versions has one, without a name."""
        return self.versions or {"": self.files}

    @property
    def form(self) -> LogFormat:
        """The format of the first file."""
        return next(iter(self.forms(next(iter(self.by_version))).values()))

    def forms(self, version: str) -> dict[str, LogFormat]:
        """Return the format of each file of a version, by the file's name."""
        return {name: self._form(own) for name, own in self.by_version[version].items()}

    def _form(self, own: Mapping[str, Any]) -> LogFormat:
        fields = {**self.log, **own}
        # The columns of behaviors by name; without them, each behavior is called like its column
        columns = fields.pop("columns", {name: name for name in self.behaviors})
        unknown = [name for name in columns if name not in self.behaviors]
        if unknown:
            raise ValueError(f"columns must be of behaviors, got {unknown[0]}")
        values = [str(columns.get(name, "")) for name in self.behaviors]
        return LogFormat(behaviors=self.behaviors, columns=values, **fields)


class _KnownLogs(Mapping[str, KnownLog]):
    """The known logs by name, each read when it is looked up."""

    def __init__(self) -> None:
        self._names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
        self._read: dict[str, KnownLog] = {}

    def __getitem__(self, name: str) -> KnownLog:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            path = FOLDER / f"{name}.yaml"
            self._read[name] = parse(KnownLog, read_yaml(path), path.name)
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


KNOWN_LOGS: Mapping[str, KnownLog] = _KnownLogs()
