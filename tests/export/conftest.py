"""Optuna's own log says nothing in tests."""

import optuna
import pytest


@pytest.fixture(autouse=True, scope="session")
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
