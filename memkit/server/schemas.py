"""What requests may say, with bounds: the fields of the OpenAI endpoints and of the memory's."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Id = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]
Query = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Kind = Literal["turn", "thought"]
# of `memkit.filters`: {"said_at": {"gte": "2027-01-01T00:00:00Z"}, "tag": ["work", "home"]}
Filters = Annotated[dict[str, Any] | None, Field(description="Only turns that match.")]


class MemoryOptions(BaseModel):
    """The field `memory` of a chat request; with OpenAI's client: extra_body={"memory": {…}}."""

    model_config = ConfigDict(extra="forbid")

    session_id: Annotated[
        Id | None, Field(description="The conversation; derived if it is missing.")
    ] = None
    budget: Annotated[
        int, Field(ge=1, le=100_000, description="Most tokens of the memory block.")
    ] = 2000
    k: Annotated[int, Field(ge=1, le=100, description="Most quotes in the memory block.")] = 10
    off: Annotated[bool, Field(description="Neither recall nor remember anything.")] = False
    history: Annotated[
        bool,
        Field(description="Also remember messages before the last reply, if they are not stored."),
    ] = False


class ChatRequest(BaseModel):
    """A chat completion. All other fields of OpenAI's API go to the model as they are."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "model": "smollm2",
                    "user": "ann",
                    "messages": [{"role": "user", "content": "Where is the spare key?"}],
                    "memory": {"session_id": "monday", "budget": 1000},
                }
            ]
        },
    )

    messages: list[dict[str, Any]] = Field(min_length=1, max_length=10_000)
    model: str | None = None
    user: Id | None = Field(None, description="Whose memory; a key may fix it.")
    stream: bool | None = False
    memory: MemoryOptions | None = None


class ResponsesRequest(BaseModel):
    """A response of OpenAI's Responses API: text in and out.

    A field that would change the answer and has no counterpart in a chat completion is refused.
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"model": "smollm2", "user": "ann", "input": "Hello!"}]},
    )

    input: str | list[dict[str, Any]]
    instructions: str | None = None
    model: str | None = None
    user: Id | None = None
    stream: bool | None = False
    memory: MemoryOptions | None = None
    max_output_tokens: int | None = Field(None, ge=1, le=1_000_000)
    temperature: float | None = None
    top_p: float | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    previous_response_id: str | None = None


class EmbeddingsRequest(BaseModel):
    """Texts to embed by the memory's own encoder."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"model": "all-MiniLM-L6-v2", "input": ["I like tea."]}]},
    )

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=2048)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, le=100_000)


# ---- the memory's own routes


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Message(_Body):
    """A message to remember."""

    role: Literal["user", "assistant", "system", "developer", "tool", "function"] = "user"
    content: str | list[dict[str, Any]] | None = None
    name: Id | None = None
    id: Id | None = None
    timestamp: AwareDatetime | None = None
    tool_calls: list[dict[str, Any]] | None = None


class AddRequest(_Body):
    """Messages to remember."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"user_id": "ann", "messages": "The spare key is under the blue pot."},
                {"user_id": "ann", "run_id": "monday", "messages": [{"content": "I like tea."}]},
            ]
        },
    )

    messages: Text | Annotated[list[Text | Message], Field(min_length=1, max_length=1000)]
    user_id: Id | None = None
    agent_id: Id | None = None
    run_id: Id | None = Field(None, description="The session.")
    metadata: dict[str, Any] | None = None
    infer: bool = Field(
        False, description="Derive thoughts before the answer; they are derived soon anyway."
    )


class UpdateRequest(_Body):
    """The new text of a memory."""

    text: Text


class SearchRequest(_Body):
    """What to look for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user_id": "ann", "query": "Where is the spare key?", "top_k": 3}]
        },
    )

    query: Query
    user_id: Id | None = None
    agent_id: Id | None = None
    run_id: Id | None = None
    top_k: int = Field(10, ge=1, le=400)
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | Literal["auto"] = 0.0
    as_of: AwareDatetime | None = None
    kind: Kind = "turn"
    filters: Filters = None


class ContextRequest(_Body):
    """A question that a prompt will ask."""

    query: Query
    user_id: Id | None = None
    agent_id: Id | None = None
    run_id: Id | None = None
    budget_tokens: int = Field(2000, ge=1, le=100_000)
    as_of: AwareDatetime | None = None
    filters: Filters = None


class ForgetRequest(_Body):
    """What to delete; conditions must all be met."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user_id": "ann", "query": "the spare key", "dry_run": True}]
        },
    )

    user_id: Id | None = None
    turn_ids: Annotated[list[Id], Field(max_length=10_000)] | None = None
    thought_id: Id | None = None
    run_id: Id | None = None
    agent_id: Id | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    query: Query | None = None
    where: dict[str, Any] | None = None
    everything: bool = False
    dry_run: bool = False
