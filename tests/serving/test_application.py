"""Requests over HTTP: the answers are those of Python, limits hold, errors say the place and the way out."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from blade_tune.export.recommender import Recommender
from blade_tune.models import MODELS
from blade_tune.serving import application
from blade_tune.serving.forms import ErrorReply, HealthReply, RecommendationReply
from blade_tune.serving.openapi import openapi_document
from blade_tune.serving.service import Service
from tests.serving.conftest import ITEMS, NAMES, made, served

HISTORIES = {
    "u2": [("i3", ["click"]), ("i9", ["click", "like"]), ("i3", ["share"])],
    "stranger": [("i5", ["follow"]), ("no such item", ["click"])],
    "u7": [(f"i{item}", ["click", "like"][item % 2 :]) for item in range(1, 16)],
    "lost": [("no such item", ["like"])],
    "empty": [],
}


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/recommend", json={"histories": HISTORIES, **body})


# --- what is answered ---


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_python_to_the_bit(name: str) -> None:
    """For every model: users in their order, items with exact scores, and the warnings as notes."""
    service = made(name)
    words = {"target": ["like", "share"], "k": 7, "seen": {"u2": ["i4"], "later": ["i1"]}}
    with served(service) as client:
        answered = ask(client, **words)
    assert answered.status_code == 200, answered.text
    expected, notes = service.recommender.answer(HISTORIES, **words)
    reply = RecommendationReply.model_validate(answered.json(), strict=False)
    assert reply.recommendations == expected
    assert list(answered.json()["recommendations"]) == list(expected)
    assert reply.notes[: len(notes)] == list(notes)
    assert any("no such item" in note for note in reply.notes)
    is_told = service.recommender.model.told_target_set
    assert any("does not look at target" in note for note in reply.notes) == (not is_told)


def test_the_rest_is_as_in_python(client: TestClient, service: Service) -> None:
    """Items of the history where they may come, more items than there are, ids in any script, nobody at all."""
    found = ask(client, k=500, include_seen=True).json()["recommendations"]
    assert sorted(item for item, _ in found["u2"]) == sorted(ITEMS)
    assert found == json.loads(
        json.dumps(service.recommender.answer(HISTORIES, k=500, include_seen=True)[0])
    )
    answered = client.post("/recommend", json={"histories": {"ユーザー\n": [["i1", ["click"]]]}})
    assert list(answered.json()["recommendations"]) == ["ユーザー\n"]
    nobody = client.post("/recommend", json={"histories": {}})
    assert nobody.json()["recommendations"] == {}
    assert "no user" in nobody.json()["notes"][0]


def test_health_names_the_model(client: TestClient, service: Service) -> None:
    """GET /health says what is served."""
    answered = client.get("/health")
    assert answered.status_code == 200
    assert HealthReply.model_validate(answered.json()) == service.health


def test_metrics_count_what_was_asked(client: TestClient) -> None:
    """GET /metrics counts requests by path and status, users and seconds; unknown paths are one."""
    ask(client)
    ask(client, k=0)
    client.get("/nowhere/1")
    client.get("/nowhere/2")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'blade_tune_serve_requests_total{path="/recommend",status="200"} 1.0',
        'blade_tune_serve_requests_total{path="/recommend",status="422"} 1.0',
        'blade_tune_serve_requests_total{path="other",status="404"} 2.0',
        f"blade_tune_serve_users_total {len(HISTORIES):.1f}",
        "blade_tune_serve_in_progress 0.0",
        'blade_tune_serve_seconds_count{path="/recommend"} 2.0',
    ):
        assert line in lines


def test_the_openapi_document_has_every_path_and_form(client: TestClient) -> None:
    """Every form is referred to, every path but its own is described, and the form of a request is the one read."""
    document = client.get("/openapi.json").json()
    assert document == openapi_document()
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    assert all(f'"#/components/schemas/{name}"' in text for name in schemas)
    described = {path: method.upper() for path, [method] in document["paths"].items()}
    assert described == {k: v for k, v in application.PATHS.items() if k != "/openapi.json"}
    fields = schemas["RecommendationRequest"]["properties"]
    assert set(fields) == {"histories", "target", "k", "include_seen", "seen"}
    assert all("description" in field for field in fields.values())


# --- what is refused ---


def refused(answered: Any, status: int) -> ErrorReply:
    """The one form of all errors."""
    assert answered.status_code == status, answered.text
    assert answered.headers["content-type"] == "application/json"
    return ErrorReply.model_validate(answered.json())


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "must be JSON"),
        ("[" * 100_000, 400, "must be JSON"),
        ("[]", 422, "must be an object, got list"),
        ("{}", 422, "histories is required. See /openapi.json."),
        ('{"histories": {}, "users": []}', 422, "unknown key users."),
        ('{"histories": {}, "targets": []}', 422, "Did you mean target?"),
        ('{"histories": {}, "k": 0}', 422, "k must be greater than or equal to 1, got 0."),
        ('{"histories": {}, "k": "ten"}', 422, "k must be a valid integer, got 'ten'."),
        ('{"histories": {}, "k": 1001}', 422, "k must be at most 1,000, got 1,001; ask for fewer"),
        ('{"histories": {"u1": ["i1"]}}', 422, "histories.u1.0 must be a valid tuple, got 'i1'."),
        ('{"histories": {"u1": [[7, ["like"]]]}}', 422, "histories.u1.0.0 must be a valid string"),
        ('{"histories": {"u1": [["i1", ["lke"]]]}}', 422, "unknown behavior 'lke'. Did you mean"),
        ('{"histories": {}, "target": ["lke"]}', 422, "unknown behavior 'lke'. Did you mean like?"),
        ('{"histories": {}, "target": []}', 422, "target must name at least one behavior."),
    ],
)
def test_a_wrong_body_is_one_error_with_its_place(
    client: TestClient, body: str, status: int, words: str
) -> None:
    """Place, rule, fact and way out as JSON, in as few words as on the command line."""
    answered = client.post(
        "/recommend", content=body, headers={"content-type": "application/json; charset=utf-8"}
    )
    error = refused(answered, status)
    assert error.place == "body"
    assert words in error.error
    assert len(error.error) < 700


def test_what_is_too_large_is_refused(service: Service) -> None:
    """Bytes of a body, also where its length is not said before, and users, those that were only seen included."""
    with served(service, max_bytes=100, max_users=2) as client:
        error = refused(ask(client), 413)
        assert "at most 100 bytes" in error.error
        parts = (b'{"histories":' for _ in range(100))
        answered = client.post(
            "/recommend", content=parts, headers={"content-type": "application/json"}
        )
        assert "at most 100 bytes" in refused(answered, 413).error
        body = {"histories": {"a": [], "b": []}, "seen": {"c": []}}
        error = refused(client.post("/recommend", json=body), 413)
        assert "at most 2 users, got 3" in error.error


def test_other_paths_methods_and_types_are_refused_in_words(client: TestClient) -> None:
    """What there is stands in the error; a page of another site cannot send JSON without a permission."""
    error = refused(client.get("/nowhere"), 404)
    assert error.place == "GET /nowhere"
    assert "POST /recommend" in error.error
    assert refused(client.get("/recommend"), 405).place == "GET /recommend"
    answered = client.post("/recommend", content="{}", headers={"content-type": "text/plain"})
    assert refused(answered, 415).place == "Content-Type"
    assert "access-control-allow-origin" not in client.get("/health").headers


def test_on_loopback_other_names_are_refused(service: Service) -> None:
    """A site whose name leads here is not answered; a server for others answers under any name."""
    headers = {"host": "evil.example"}
    with served(service) as client:
        assert refused(client.get("/health", headers=headers), 403).place == "Host"
        assert client.get("/health", headers={"host": "127.0.0.1:8090"}).status_code == 200
    with served(service, host="0.0.0.0") as client:  # noqa: S104 - nothing listens
        assert client.get("/health", headers=headers).status_code == 200


def test_a_failure_is_no_traceback(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong inside is 500, without words of the code."""

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Recommender, "answer", fail)
    error = refused(ask(client), 500)
    assert "secret" not in error.error


# --- time ---


@pytest.mark.usefixtures("held")
def test_what_takes_too_long_is_answered_504(service: Service) -> None:
    """A computation that does not end in time is given up, in words."""
    with served(service, seconds=0.2) as client:
        error = refused(ask(client), 504)
    assert "not computed within 0.2 s" in error.error
    assert "--max-seconds" in error.error


def test_what_waits_too_long_is_answered_503(service: Service, held: Callable[[], bool]) -> None:
    """A request that finds all threads busy is asked to come again, and is never computed."""
    with served(service, seconds=0.4) as client:
        first = threading.Thread(target=ask, args=(client,))
        first.start()
        assert held()
        answered = ask(client)
        first.join()
    assert "too busy to begin within 0.4 s" in refused(answered, 503).error
    assert answered.headers["retry-after"] == "1"


def test_a_queue_has_an_end(
    client: TestClient, held: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the most requests that wait, one more is refused at once."""
    monkeypatch.setattr(application, "WAITING", 1)
    first = threading.Thread(target=ask, args=(client,))
    first.start()
    assert held()
    assert "too many requests wait" in refused(ask(client), 503).error
    first.join()
    assert ask(client).status_code == 200


def test_names_are_those_of_the_model() -> None:
    """The tests above name behaviors of the model."""
    assert {"click", "like", "share", "follow"} <= set(NAMES)
