"""The model that is served: from the body of a request to the body of its answer, within limits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from blade_tune.about import __version__
from blade_tune.config import parse
from blade_tune.errors import BladeTuneError, ConfigError
from blade_tune.export.model_card import warning_of
from blade_tune.export.reading import load_bundle
from blade_tune.export.recommender import Recommender
from blade_tune.serving.forms import HealthReply, RecommendationRequest
from blade_tune.serving.limits import Limits

MAX_WORDS = 500  # characters of an error, which may repeat what was sent
BODY = "body"


class RefusedError(BladeTuneError):
    """A request that is not answered as it wishes.

    Args:
        status: of HTTP.
        place: where it is wrong.
        message: the rule that is broken, the fact that breaks it, and the way out.
    """

    def __init__(self, status: int, place: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.place = place


@dataclass(frozen=True)
class Service:
    """A bundle's model, and what is said of it."""

    recommender: Recommender
    health: HealthReply

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Self:
        """Load a bundle, which is checked as a whole.

        Args:
            folder: the bundle.
            device: where the model computes.

        Raises:
            DataError: a file of the bundle is missing, was changed, or is malformed.
        """
        bundle = load_bundle(folder)
        recommender = Recommender.of(bundle, device)
        facts = json.loads((folder / "catalog.json").read_text(encoding="utf-8"))
        catalog = recommender.model.catalog
        health = HealthReply(
            version=__version__,
            model=facts["model"],
            digest=bundle.digest,
            behaviors=list(catalog.behaviors),
            users=catalog.num_users,
            items=catalog.num_items,
            warning=warning_of(folder) or None,
        )
        return cls(recommender, health)

    def answer(self, body: bytes, limits: Limits) -> tuple[bytes, int]:
        """Return the body of the answer to a request for recommendations, and the number of users in it.

        Args:
            body: of the request, JSON in the form of `RecommendationRequest`.
            limits: of a request.

        Raises:
            RefusedError: the body is malformed or above a limit, or names a behavior that the model does not have.
        """
        asked = _read(body)
        _require_small(asked, limits)
        try:
            lists, notes = self.recommender.answer(
                asked.histories,
                asked.target,
                asked.k,
                include_seen=asked.include_seen,
                seen=asked.seen,
            )
        except ConfigError as error:
            raise RefusedError(422, BODY, str(error)) from None
        notes = list(notes)
        if asked.target and not self.recommender.model.told_target_set:
            notes.append(
                "this model does not look at target: it recommends the same whatever is named there"
            )
        return as_json({"recommendations": lists, "notes": notes}), asked.num_users


def as_json(content: Mapping[str, Any]) -> bytes:
    """Return plain data as JSON, in which each number is exact."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _read(body: bytes) -> RecommendationRequest:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, BODY, f"must be JSON: {str(error)[:MAX_WORDS]}.") from None
    if not isinstance(content, dict):
        raise RefusedError(422, BODY, f"must be an object, got {type(content).__name__}.")
    try:
        return parse(RecommendationRequest, content, BODY)
    except ConfigError as error:
        first, *others = str(error).splitlines()
        words = first.removeprefix(f"{BODY}: ")[:MAX_WORDS]
        if others:
            words += f" There are {len(others)} more errors."
        raise RefusedError(422, BODY, f"{words} See /openapi.json.") from None


def _require_small(asked: RecommendationRequest, limits: Limits) -> None:
    if asked.num_users > limits.max_users:
        raise RefusedError(
            413,
            BODY,
            f"must have at most {limits.max_users:,} users, got {asked.num_users:,}; ask for fewer at a time, or start "
            "the server with --max-users.",
        )
    if asked.k > limits.max_k:
        raise RefusedError(
            422,
            BODY,
            f"k must be at most {limits.max_k:,}, got {asked.k:,}; ask for fewer, or start the server with --max-k.",
        )
