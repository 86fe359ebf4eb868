"""Forms of what is asked and answered over HTTP, from which bodies are read and the OpenAPI document is made."""

from typing import Annotated, Literal

from pydantic import Field

from blade_tune.config import Settings


class RecommendationRequest(Settings):
    """Body of `POST /recommend`: the arguments of `Recommender.recommend`."""

    histories: dict[str, list[tuple[str, list[str]]]] = Field(
        description="user -> interactions, oldest first, each an item and its behaviors; users may be unknown",
        examples=[{"u1": [["i1", ["view"]], ["i2", ["view", "cart"]]]}],
    )
    target: list[str] | None = Field(
        None, description="behaviors that are hoped for; by default those of `blade-tune recommend`"
    )
    k: Annotated[int, Field(strict=True, ge=1)] = Field(10, description="most items of a user")
    include_seen: Annotated[bool, Field(strict=True)] = Field(
        False, description="whether items of a history may be recommended again"
    )
    seen: dict[str, list[str]] = Field(
        default_factory=dict,
        description="user -> items that the user only knows: no part of the history, and not recommended",
    )

    @property
    def num_users(self) -> int:
        """How many users are asked for."""
        return len(self.histories.keys() | self.seen.keys())


class RecommendationReply(Settings):
    """Answer to `POST /recommend`."""

    recommendations: dict[str, list[tuple[str, float]]] = Field(
        description="user -> items with their scores, best first; empty for a user who gets none"
    )
    notes: list[str] = Field(
        description="what was left out and which users got nothing, a line a reason"
    )


class HealthReply(Settings):
    """Answer to `GET /health`."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="of blade-tune")
    model: str
    digest: str = Field(description="of the bundle, as its checksums.json has it")
    behaviors: list[str]
    users: int = Field(description="users that the model knows")
    items: int
    warning: str | None = Field(description="what the model card warns of")


class ErrorReply(Settings):
    """Answer to a request that is refused or fails."""

    place: str = Field(description="where it is wrong")
    error: str = Field(
        description="the rule that is broken, the fact that breaks it, and the way out"
    )
