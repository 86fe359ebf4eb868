"""Where a study keeps its files under the results folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blade_tune.files import write_whole


@dataclass(frozen=True)
class TrialFolder:
    """DIR/<study>/trials/<number>/."""

    path: Path
    digests: Mapping[str, str] = field(
        default_factory=dict, compare=False
    )  # of the files it left, by name, where they are known

    @property
    def config(self) -> Path:
        """The configuration, itself a space with nothing free."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """What training logged."""
        return self.path / "train.log"

    @property
    def metrics(self) -> Path:
        """One JSON line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The whole state of a training that is not finished."""
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The best epoch's weights, of the best trials only."""
        return self.path / "best.safetensors"

    @property
    def ranks(self) -> Path:
        """The rank of each validation user's item at the best epoch."""
        return self.path / "ranks.npy"

    @property
    def test(self) -> Path:
        """Test figures of a run, where its test rows were opened."""
        return self.path / "test.json"

    @property
    def test_ranks(self) -> Path:
        """(2, U): the number of each test user, and the rank of the item."""
        return self.path / "test_ranks.npy"

    @property
    def test_baseline_ranks(self) -> Path:
        """The rank that the reference baseline gives the item of each of these users."""
        return self.path / "test_baseline_ranks.npy"


@dataclass(frozen=True)
class StudyFolder:
    """DIR/<study>/."""

    results: Path
    name: str
    guard: Callable[["StudyFolder"], object] | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The folder itself, which every file of it is asked for through.

        Raises:
            StudyDiffersError: a guard says that what is there is another study's.
        """
        if self.guard is not None:
            self.guard(self)
        return self.results / self.name

    @property
    def definition(self) -> Path:
        """The study as it is run, its space written out."""
        return self.path / "study.yaml"

    @property
    def ledger(self) -> Path:
        """Every opening of the test split."""
        return self.path / "ledger.jsonl"

    @property
    def best(self) -> Path:
        """Where export-best puts the final model."""
        return self.path / "best"

    def member(self, index: int) -> Path:
        """The weights of one of the models that a combination is made of."""
        return self.path / "members" / f"{index}.safetensors"

    def trial(self, number: int) -> TrialFolder:
        """The folder of a trial."""
        return TrialFolder(self.path / "trials" / str(number))


def write_text(path: Path, text: str) -> None:
    """Write a small file that can be made again, as a whole or not at all.

    Raises:
        ConfigError: something else stands in its place.
        OSError: it cannot be written.
    """
    write_whole(path, text.encode(), flush=False)
