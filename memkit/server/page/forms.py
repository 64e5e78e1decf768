"""The bodies of requests, with their bounds."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

MOST_IDS = 10_000  # turns that one request names
_Id = Annotated[str, Field(min_length=1, max_length=1_000)]
_Text = Annotated[str, Field(min_length=1, max_length=20_000)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Search(_Form):
    """A question, and limits on what may answer it."""

    query: _Text
    k: Annotated[int, Field(ge=1, le=100)] = 20
    kind: Literal["turn", "thought"] = "turn"
    session_id: _Id | None = None
    as_of: AwareDatetime | None = None


class Correction(_Form):
    """What holds in place of a thought."""

    id: _Id
    text: _Text


class Retraction(_Form):
    """A thought that is wrong."""

    id: _Id


class Undo(_Form):
    """The event of the ledger whose state is restored."""

    event: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Deletion(_Form):
    """What to forget, in one way."""

    turn_ids: Annotated[list[_Id], Field(min_length=1, max_length=MOST_IDS)] | None = None
    thought_id: _Id | None = None
    session_id: _Id | None = None
    everything: bool = False
    dry_run: bool = True

    def selection(self) -> dict[str, object]:
        """Return the arguments of `Memory.forget` that name turns."""
        named = self.model_dump(exclude={"dry_run", "everything"}, exclude_none=True)
        return named | ({"everything": True} if self.everything else {})


MaybeTime = Annotated[AwareDatetime | None, Query()]
