"""Filter of the dashboard's answers that makes its pages fit for people: words, one copy of curves, no dead buttons.

optuna-dashboard shows user attributes as they are stored, offers to change studies whether or not that is allowed, and
names important parameters after two trials. Its pages are a program that cannot be configured, so what it is sent is
changed on the way: nothing is changed in the database.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from blade_tune.report.attribute_words import columns, study_words, trial_words
from blade_tune.report.numbers import enough_for_importances

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CURVES = "learning-curves"  # our figure of all trials' curves, see `dashboard.FIGURES`
STUDY = re.compile(r"/api/studies/(\d+)(/param_importances)?/?")
PAGE = re.compile(r"/dashboard(/.*)?")
# Icons of the buttons that would change something: new study, rename, delete, edit a note, upload, fail a trial
ICONS = ("AddBox", "DriveFileRenameOutline", "Delete", "Edit", "UploadFile", "StopCircle")
# A place that may stay empty is last and flat, but keeps the width for which a figure is drawn that it may get
EMPTY = (
    ".MuiGrid-item:has(#graph-hyperparameter-importances:empty)"
    " { order: 99; height: 0; padding-block: 0 !important; overflow: hidden; visibility: hidden; }"
)
WRAPPED = """
.MuiCardContent-root td.MuiTableCell-body { white-space: normal; }
@media (max-width: 600px) { .MuiGrid-item { flex-basis: 100% !important; max-width: 100% !important; } }
"""
NOTICE_STYLE = """
#read-only { position: fixed; inset: auto 0 0 0; z-index: 1300; padding: 5px 12px; background: #263238; color: #fff;
  font: 14px/1.4 system-ui, sans-serif; text-align: center; }
#read-only code { white-space: nowrap; }
body { padding-bottom: 36px; }
.MuiDrawer-paper { height: calc(100% - 30px) !important; }
@media (max-width: 600px) { #read-only { font-size: 12px; } }
"""
NOTICE = (
    '<div id="read-only" role="note">Read-only. To write notes, rename or delete, start it with '
    "<code>blade-tune dashboard --edit</code></div>"
)


def readable(app: "WSGIApplication", storage: BaseStorage, *, edit: bool) -> "WSGIApplication":
    """Wrap optuna-dashboard so that its pages show what people want.

    Args:
        app: the application.
        storage: what it shows.
        edit: whether pages may change studies; otherwise they say that they do not, and have no buttons for it.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        change = _change_of(environ, storage, edit=edit)
        if change is None:
            return app(environ, start_response)
        # The browser's copy of a page may be one from before
        asked = {name: value for name, value in environ.items() if name not in CONDITIONS}
        return _changed(app, asked, start_response, change)

    return answer


CONDITIONS = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "HTTP_ACCEPT_ENCODING")
STALE = ("content-length", "last-modified", "etag", "accept-ranges", "cache-control")


def _change_of(
    environ: "WSGIEnvironment", storage: BaseStorage, *, edit: bool
) -> Callable[[bytes], bytes] | None:
    """Return what changes the answer to a request; None if the answer stays as it is."""
    if environ["REQUEST_METHOD"] != "GET":
        return None
    path = environ["PATH_INFO"]
    if PAGE.fullmatch(path):
        return lambda body: _page(body, edit=edit)
    found = STUDY.fullmatch(path)
    if not found:
        return None
    study_id, is_importance = int(found[1]), bool(found[2])
    change = _importances if is_importance else _study
    return lambda body: json.dumps(change(json.loads(body), storage, study_id)).encode()


def _changed(
    app: "WSGIApplication",
    environ: "WSGIEnvironment",
    start_response: "StartResponse",
    change: Callable[[bytes], bytes],
) -> Iterable[bytes]:
    """Return an application's answer with another body; that of a failure as it is."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def begin(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        begun.append((status, headers))
        return lambda _: None

    parts = app(environ, begin)
    try:
        body = b"".join(parts)
    finally:
        if close := getattr(parts, "close", None):
            close()
    status, headers = begun[-1]
    if status.startswith("200"):
        body = change(body)
        headers = [(name, value) for name, value in headers if name.lower() not in STALE]
        headers += [("Content-Length", str(len(body))), ("Cache-Control", "no-cache")]
    start_response(status, headers)
    return [body]


def _page(body: bytes, *, edit: bool) -> bytes:
    """Return the page of optuna-dashboard with our style, and with a notice where it may not edit."""
    style, notice = f"{EMPTY}{WRAPPED}", ""
    if not edit:
        buttons = [f"button:has([data-testid={icon}Icon])" for icon in ICONS]
        uploads = ".MuiCard-root:has(> button [data-testid=UploadFileIcon])"
        hidden = f"{', '.join([*buttons, uploads])} {{ display: none !important; }}"
        style, notice = f"{style}{hidden}{NOTICE_STYLE}", NOTICE
    html = body.decode()
    html = html.replace("</head>", f"<style>{style}</style></head>", 1)
    return html.replace("</body>", f"{notice}</body>", 1).encode()


def _study(answer: dict[str, Any], storage: BaseStorage, study_id: int) -> dict[str, Any]:
    """Return what a page is told of a study, with attributes in words and a single figure of its curves."""
    attributes = study_words(storage.get_study_user_attrs(study_id))
    answer["user_attrs"] = [{"key": name, "value": text} for name, text in attributes.items()]
    answer["union_user_attrs"] = columns(answer["union_user_attrs"])
    for trial in [*answer["trials"], *answer["best_trials"]]:
        trial["user_attrs"] = trial_words(trial["user_attrs"])

    # Ours has baselines and names the best, but is of the last run's end; Optuna's follows what runs
    figures = answer["plotly_graph_objects"]
    is_running = any(trial["state"] == "Running" for trial in answer["trials"])
    if is_running:
        answer["plotly_graph_objects"] = [each for each in figures if each["id"] != CURVES]
    elif any(each["id"] == CURVES for each in figures):
        answer["has_intermediate_values"] = False
    return answer


def _importances(answer: dict[str, Any], storage: BaseStorage, study_id: int) -> dict[str, Any]:
    """Return importances of parameters where enough trials have completed to tell, else none."""
    num_completed = storage.get_n_trials(study_id, TrialState.COMPLETE)
    (first, *_) = answer["param_importances"] or [[]]
    if not enough_for_importances(num_completed, len(first)):
        return {"param_importances": []}
    return answer
