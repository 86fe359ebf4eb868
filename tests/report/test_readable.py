"""What pages of the dashboard are sent: words in place of stored attributes, curves once, no dead buttons."""

import json
from typing import Any

import optuna_dashboard
import pytest

from blade_tune.report import dashboard, readable
from blade_tune.report.attribute_words import TRIAL_WORDS, columns, study_words, trial_words
from blade_tune.storage.trial_record import ATTRIBUTES
from blade_tune.study.stored import StoredStudy
from tests.report import made_up


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    """A study of 15 trials, published."""
    stored = made_up.study(tmp_path_factory.mktemp("shown"), 15)
    dashboard.publish(stored)
    return stored


def ask(stored: StoredStudy, path: str, *, edit: bool = False, query: str = "") -> tuple[str, str]:
    """Status and body of the answer to a GET request."""
    app = readable.readable(optuna_dashboard.wsgi(stored.storage), stored.storage, edit=edit)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "HTTP_IF_MODIFIED_SINCE": "Tue, 01 Jan 2030 00:00:00 GMT",
    }
    statuses: list[tuple[str, dict[str, str]]] = []
    parts = app(environ, lambda status, headers, *_: statuses.append((status, dict(headers))))
    body = b"".join(parts)
    status, headers = statuses[0]
    assert headers.get("Content-Length", str(len(body))) == str(len(body))
    return status, body.decode()


def study(stored: StoredStudy) -> dict[str, Any]:
    status, body = ask(stored, f"/api/studies/{stored.study_id}", query="after=0")
    assert status.startswith("200")
    return json.loads(body)


def test_attributes_of_a_study_are_five_short_rows(shown):
    """What it searches, whether there is a winner, baselines, test rows; no JSON."""
    rows = {each["key"]: each["value"] for each in study(shown)["user_attrs"]}
    assert rows == {
        "search": "blade on tiny, by valid NDCG@10, 40 trials",
        "winner": "not confirmed",
        "untuned baselines": "popularity 0.0800, item_knn 0.1000",
        "test rows": "never opened",
    }


def test_a_confirmed_winner_is_in_words():
    """Trial, figure on fresh seeds, what to expect, and the verdict."""
    expected = {"mean": 0.22, "low": 0.21, "high": 0.23}
    verdict = {"baseline": "item_knn", "difference": 0.1, "low": -0.1, "high": 0.3}
    rows = study_words(
        {
            "definition": {"model": "blade", "data": {"name": "shop"}},
            "fingerprint": {"objective": {"metric": "ndcg@10"}},
            "confirmation": {"expected": expected, "verdict": verdict},
            "confirmations": [*made_up.MADE],
            "limit": {"unit": "hours", "total": 8},
            "ledger": {},
        }
    )
    assert rows["search"] == "blade on shop, by valid NDCG@10, 8 hours"
    assert rows["winner"] == (
        "trial 8, 0.2310 on 5 fresh seeds; for other users expect 0.2200 (0.2100 to 0.2300)"
    )
    assert rows["beside the baseline"] == "not above item_knn: +0.1000 (-0.1000 to +0.3000)"
    assert len(rows) <= 5


def test_a_study_of_another_program_stays_as_it_is():
    """Its attributes are nobody else's business."""
    assert study_words({"who": "me", "n": 3}) == {"who": "me", "n": "3"}


def test_attributes_of_a_trial_are_words_without_json(shown):
    """Those that only programs read are left out, and every column of the table of trials is one that trials have."""
    answer = study(shown)
    named = {each["key"] for trial in answer["trials"] for each in trial["user_attrs"]}
    assert {"why it ended", "best epoch", "epochs", "seconds of training", "seed"} <= named
    assert not named & {"clock", "paired", "files", "versions"}
    texts = [each["value"] for trial in answer["trials"] for each in trial["user_attrs"]]
    assert not any(text.startswith(("{", "[")) for text in texts)
    assert named <= {each["key"] for each in answer["union_user_attrs"]}


def test_attributes_of_other_programs_are_kept_if_they_are_short():
    """A person who stores one wants to see it."""
    sent = [
        {"key": "mine", "value": "7"},
        {"key": "long", "value": "x" * 1000},
        {"key": "paired", "value": '{"difference": -0.01, "cut'},
        {"key": "valid.hr@10", "value": "0.123456"},
        {"key": "reason", "value": "of a later version"},
    ]
    assert {each["key"]: each["value"] for each in trial_words(sent)} == {
        "why it ended": "of a later version",
        "mine": "7",
        "valid HR@10": "0.1235",
    }
    union = [{"key": "mine", "sortable": True}, {"key": "paired", "sortable": False}]
    assert columns(union) == [
        {"key": TRIAL_WORDS["paired"], "sortable": True},
        {"key": "mine", "sortable": True},
    ]


def test_every_attribute_that_has_words_is_declared():
    """A renamed attribute would lose them in silence."""
    assert TRIAL_WORDS.keys() <= ATTRIBUTES.keys()


def test_curves_are_there_once(shown):
    """Our figure of them where nothing runs, Optuna's, which follows the trials, where one does."""
    answer = study(shown)
    ids = [each["id"] for each in answer["plotly_graph_objects"]]
    assert ("learning-curves" in ids, answer["has_intermediate_values"]) == (True, False)
    answer["trials"][0]["state"] = "Running"
    answer["has_intermediate_values"] = True
    answer["union_user_attrs"], answer["trials"], answer["best_trials"] = (
        [],
        answer["trials"][:1],
        [],
    )
    again = readable._study(answer, shown.storage, shown.study_id)
    ids = [each["id"] for each in again["plotly_graph_objects"]]
    assert ("learning-curves" in ids, again["has_intermediate_values"]) == (False, True)


def test_few_trials_have_no_importances(shown, searched):
    """Eleven completed trials say nothing of five parameters, thirty may."""
    for stored, is_said in ((shown, False), (searched, True)):
        status, body = ask(stored, f"/api/studies/{stored.study_id}/param_importances")
        assert status.startswith("200")
        assert bool(json.loads(body)["param_importances"]) == is_said


def test_pages_that_only_show_say_so_and_have_no_dead_buttons(shown):
    """A browser's copy of the page from before is not good enough; with --edit the page has its buttons."""
    for path in ("/dashboard", "/dashboard/studies/1/note"):
        status, page = ask(shown, path)
        assert status.startswith("200")
        assert "Read-only. To write notes, rename or delete, start it with" in page
        assert "button:has([data-testid=DeleteIcon])" in page
        _, page = ask(shown, path, edit=True)
        assert "Read-only" not in page
        assert "DeleteIcon" not in page


def test_failures_and_other_answers_pass_unchanged(shown):
    """A study that is not there is not there, and what is not shown to people is as it was."""
    assert ask(shown, "/api/studies/99", query="after=0")[0].startswith("404")
    assert json.loads(ask(shown, "/api/meta")[1])["plotlypy_is_available"]
