"""The OpenAPI document of the server, made from the forms of its requests and answers."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from blade_tune.about import __version__
from blade_tune.serving.forms import (
    ErrorReply,
    HealthReply,
    RecommendationReply,
    RecommendationRequest,
)

REFUSALS = {
    "400": "The body is no JSON.",
    "403": "Asked under a name that is not this machine's.",
    "408": "The body did not arrive in time.",
    "413": "The body, or the number of users in it, is above the limit.",
    "415": "The body is not said to be application/json.",
    "422": "The body breaks a rule.",
    "500": "The server failed.",
    "503": "Too many requests wait, or this one waited for too long; ask again later.",
    "504": "It took too long; ask for fewer users at a time.",
}


def openapi_document() -> dict[str, Any]:
    """Return the document of version 3.1, as plain data."""
    forms = (RecommendationRequest, RecommendationReply, HealthReply, ErrorReply)
    _, schemas = models_json_schema(
        [(form, "validation") for form in forms], ref_template="#/components/schemas/{model}"
    )
    refused = {status: _answer(words, ErrorReply) for status, words in REFUSALS.items()}
    recommend = {
        "summary": "Recommend items to users by their histories.",
        "operationId": "recommend",
        "requestBody": {"required": True, "content": _content(RecommendationRequest)},
        "responses": {
            "200": _answer("Items for every user.", RecommendationReply),
            **refused,
        },
    }
    health = {
        "summary": "Say that the server works, and what it serves.",
        "operationId": "health",
        "responses": {"200": _answer("It works.", HealthReply)},
    }
    metrics = {
        "summary": "Return counts and times in the text form of Prometheus.",
        "operationId": "metrics",
        "responses": {"200": _answer("The counts.", None)},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "blade-tune serve", "version": __version__},
        "paths": {
            "/recommend": {"post": recommend},
            "/health": {"get": health},
            "/metrics": {"get": metrics},
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _answer(words: str, form: type[BaseModel] | None) -> dict[str, Any]:
    content = _content(form) if form else {"text/plain": {"schema": {"type": "string"}}}
    return {"description": words, "content": content}


def _content(form: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}}
