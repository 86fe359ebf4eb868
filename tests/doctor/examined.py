"""A study examined by the doctor: its findings, and workers that died with a trial."""

from pathlib import Path

from blade_tune.doctor import checks as doctor
from blade_tune.doctor import crash_remains as leftovers
from blade_tune.doctor.diagnosis import Diagnosis
from blade_tune.fleet.settings import RunSettings
from blade_tune.storage.attempts import ATTEMPTS, Claimant
from blade_tune.storage.process import Owner
from blade_tune.study.stored import StoredStudy

ELSEWHERE = Owner("elsewhere", 1, 0.0)


def examine(
    results: Path, fix: leftovers.Notify | None = None, **options: object
) -> list[Diagnosis]:
    """All findings; `pytest.fail` as a fix is one that need not wait."""
    return doctor.examine(
        RunSettings.model_validate({"results": results, "grace_s": 60.0, **options}), fix=fix
    )


def about(check: str, findings: list[Diagnosis]) -> list[tuple[str, str]]:
    return [(finding.state, finding.what) for finding in findings if finding.check == check]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file, but for what SQLite puts beside a database while it is open."""
    paths = (
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def hold(stored: StoredStudy, owner: Owner) -> str:
    """Claim a slot in a process's name."""
    attempt = stored.attempts.claim(99, Claimant(owner, "cpu", 1.0))
    assert attempt
    return attempt


def train(stored: StoredStudy, owner: Owner) -> int:
    """The same with a trial; gives its number."""
    attempt = hold(stored, owner)
    asked = stored.study.ask()
    stored.definition.space.suggest(asked)
    stored.attempts.link(attempt, asked.number)
    return asked.number


def silence(stored: StoredStudy) -> None:
    """Let no open attempt have been heard of for a day."""
    with stored.storage.engine.begin() as connection:
        connection.execute(ATTEMPTS.update().values(renewed=ATTEMPTS.c.renewed - 86_400))
