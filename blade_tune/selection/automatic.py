"""What an automatic choice of a model says of its families, stored with their searches for the page of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blade_tune.study.stored import StoredStudy

# User attribute of a family's search: {"left": why it got no more time, "words": the paragraph, of the chosen one only}
ATTRIBUTE = "automatic"


@dataclass(frozen=True)
class AutomaticChoice:
    """The end of an automatic choice."""

    chosen: str  # model
    words: str  # what was found, in sentences
    left: Mapping[str, str]  # model -> why it got no more time; empty where it might still have

    def store(self, searches: Sequence[StoredStudy]) -> None:
        """Store it with the families' searches, in the place of an earlier choice."""
        for stored in searches:
            is_chosen = stored.label == self.chosen
            facts = {"left": self.left[stored.label], "words": self.words if is_chosen else ""}
            stored.study.set_user_attr(ATTRIBUTE, facts)

    @classmethod
    def load(cls, searches: Sequence[StoredStudy]) -> "AutomaticChoice | None":
        """Return the latest choice among families; None where none was made yet."""
        stored = {
            search.label: search.study.user_attrs[ATTRIBUTE]
            for search in searches
            if ATTRIBUTE in search.study.user_attrs
        }
        chosen = next((model for model, facts in stored.items() if facts["words"]), None)
        if chosen is None:
            return None
        left = {model: facts["left"] for model, facts in stored.items()}
        return cls(chosen, stored[chosen]["words"], left)
