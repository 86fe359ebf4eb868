"""What tests of whole studies share: Optuna's own log says nothing, and what is loaded is not searched for garbage."""

import gc

import optuna
import pytest


@pytest.fixture(autouse=True, scope="session")
def _quiet_and_quick() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    gc.freeze()  # a run collects garbage after every trial, which takes longer than a tiny trial
