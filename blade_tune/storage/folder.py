"""Paths of the files that a study and its trials keep under the results folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blade_tune.files import write_whole


@dataclass(frozen=True)
class ToldFiles:
    """The files of one evaluation of a trial whose model was told another set of the item to predict."""

    figures: Path
    ranks: Path  # an array (2, U), as `TrialFolder.test_ranks`


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial, RESULTS/<study>/trials/<number>/, and the paths of its files."""

    path: Path
    # The SHA-256 of each file that the trial left, by file name; empty where they are not known.
    digests: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def config(self) -> Path:
        """The trial's configuration, in the form of a space file that leaves nothing free."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """The log of the training."""
        return self.path / "train.log"

    @property
    def metrics(self) -> Path:
        """The figures of each epoch, one line of JSON per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The whole state of an unfinished training, from which another attempt continues it."""
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The weights of the best epoch, kept for the best trials of the study only."""
        return self.path / "best.safetensors"

    @property
    def ranks(self) -> Path:
        """The rank of each validation user's held-out item at the best epoch."""
        return self.path / "ranks.npy"

    @property
    def test(self) -> Path:
        """The test figures of the trial, once its test rows were opened."""
        return self.path / "test.json"

    @property
    def test_ranks(self) -> Path:
        """An array (2, U): the number of each test user, and the rank of the user's held-out item."""
        return self.path / "test_ranks.npy"

    @property
    def test_baseline_ranks(self) -> Path:
        """The rank of each test user's held-out item under the reference baseline, users as in `test_ranks`."""
        return self.path / "test_baseline_ranks.npy"

    def told(self, part: str, target_set: str) -> ToldFiles:
        """Return the files of the trial's evaluation under another `target_set` than its study's.

        Args:
            part: "valid" or "test".
            target_set: what the model was told of the item to predict.
        """
        stem = f"told_{target_set}_{part}"
        return ToldFiles(self.path / f"{stem}.json", self.path / f"{stem}_ranks.npy")

    @property
    def all_told(self) -> list[ToldFiles]:
        """The files of every such evaluation that there is."""
        found = sorted(self.path.glob("told_*.json"))
        return [ToldFiles(path, path.with_name(f"{path.stem}_ranks.npy")) for path in found]


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study, RESULTS/<study>/, and the paths of its files.

    Every path passes through `path`, so that a guard sees each access, and can refuse a folder that another study of
    the same name has filled (`study.ownership`).
    """

    results: Path
    name: str
    guard: Callable[["StudyFolder"], object] | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The folder itself, checked by the guard.

        Raises:
            StudyDiffersError: the guard found the files of another study there.
        """
        if self.guard is not None:
            self.guard(self)
        return self.results / self.name

    @property
    def definition(self) -> Path:
        """The study file as it is run, with its space written out."""
        return self.path / "study.yaml"

    @property
    def ledger(self) -> Path:
        """The record of every opening of the test split."""
        return self.path / "ledger.jsonl"

    @property
    def best(self) -> Path:
        """The folder to which `blade-tune export-best` writes the final model."""
        return self.path / "best"

    def member(self, index: int) -> Path:
        """Return the path of the weights of one of the models that a combination is made of."""
        return self.path / "members" / f"{index}.safetensors"

    def trial(self, number: int) -> TrialFolder:
        """Return the folder of the trial whose first row has this number."""
        return TrialFolder(self.path / "trials" / str(number))


def write_text(path: Path, text: str) -> None:
    """Write a small text file as a whole or not at all.

    The file is not flushed to the disk, so a power cut may lose it: for files that can be made again.

    Raises:
        ConfigError: something other than a file stands in its place.
        OSError: the file cannot be written.
    """
    write_whole(path, text.encode(), flush=False)
