"""A served model whose ids are text, and one whose requests can be held."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from blade_tune.data.raw.settings import LogFormat
from blade_tune.export.recommender import Recommender
from blade_tune.serving.application import Serving, application
from blade_tune.serving.forms import HealthReply
from blade_tune.serving.limits import Limits
from blade_tune.serving.measures import Measures
from blade_tune.serving.service import Service
from tests.builders import make_catalog, make_model

CATALOG = make_catalog()
NAMES = CATALOG.behaviors
USERS = [f"u{n}" for n in range(1, CATALOG.num_users + 1)]
ITEMS = [f"i{n}" for n in range(1, CATALOG.num_items + 1)]


def made(name: str) -> Service:
    """A model of the registry with ids, as it is served."""
    model = make_model(name, CATALOG).eval()
    recommender = Recommender(model, LogFormat.of_split_files(NAMES), USERS, ITEMS)
    health = HealthReply(
        version="0",
        model=name,
        digest="none",
        behaviors=list(NAMES),
        users=len(USERS),
        items=len(ITEMS),
        warning=None,
    )
    return Service(recommender, health)


@contextmanager
def served(service: Service, host: str = "127.0.0.1", **limits: Any) -> Iterator[TestClient]:
    """A client of the application, without a server between; one request is computed at a time."""
    with ThreadPoolExecutor(1) as pool:
        serving = Serving(service, Limits(**limits), pool, Measures(service.health))
        app = application(serving, host)
        with TestClient(
            app, base_url="http://localhost:8090", raise_server_exceptions=False
        ) as client:
            yield client


@pytest.fixture(scope="session")
def service() -> Service:
    return made("blade")


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with served(service) as client:
        yield client


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Every computation waits until the test is over; returns whether one has begun."""
    begun, goes_on = threading.Event(), threading.Event()
    answer = Recommender.answer

    def waiting(*args: Any, **options: Any) -> Any:
        begun.set()
        goes_on.wait(30)
        return answer(*args, **options)

    monkeypatch.setattr(Recommender, "answer", waiting)
    # Long enough that a request of the test is late, then all ends
    timer = threading.Timer(1.0, goes_on.set)
    timer.start()
    yield lambda: begun.wait(10)
    goes_on.set()
    timer.cancel()
