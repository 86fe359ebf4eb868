"""The log of one trial: what the package logs while the trial trains, in a file of the trial's folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from blade_tune.storage.folder import TrialFolder

log = logging.getLogger(__name__)


class _TrialLog(logging.FileHandler):
    """A log file of one trial; lines that cannot be written, as on a full disk, are dropped after one warning."""

    _is_broken = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's name
        """Warn, at the first failure only, through the package's logger and so through its other handlers."""
        if not self._is_broken:
            self._is_broken = True
            log.warning("%s cannot be written: lines of it are missing", self.baseFilename)

    def close(self) -> None:
        """Close the file; lines that cannot be flushed are lost without an error."""
        with suppress(OSError):
            super().close()


@contextmanager
def logged_to(folder: TrialFolder) -> Iterator[None]:
    """Write everything that the package logs inside the block to the trial's own log file too."""
    try:
        handler = _TrialLog(folder.log, encoding="utf-8")
    except OSError as error:
        log.warning("%s cannot be written (%s): this trial has no log", folder.log, error.strerror)
        yield
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("blade_tune")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
