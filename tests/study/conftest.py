"""What tests of whole studies share: Optuna's own log says nothing."""

import optuna
import pytest


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
