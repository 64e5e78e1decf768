"""The policies of a memory: how long what is stored, and which old chunks search leaves out."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol

from memkit.errors import InvalidInput
from memkit.filters import Where, equal_to, parse_filter
from memkit.records import ROLES, Role, Scope, shorten


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """HEMA's constants (section 3.5), each of them a setting."""

    freshness: float = 1.0  # λ
    rate: float = 0.002  # γ, per turn: half of the freshness is gone after 347 turns
    bonus: float = 0.5  # β
    sign: Literal["intended", "printed"] = "intended"  # see `retention_weights`
    fraction: float = 0.005  # of the visible chunks, hidden at a time
    interval: int = 100  # turns between two prunings, and what counts as recently retrieved

    def __post_init__(self) -> None:
        if self.sign not in ("intended", "printed"):
            raise InvalidInput(f'sign must be "intended" or "printed", got {self.sign!r}')
        if not 0 <= self.fraction <= 1:
            raise InvalidInput(f"fraction must be in [0, 1], got {self.fraction}")
        if self.interval < 1:
            raise InvalidInput(f"interval must be at least 1 turn, got {self.interval}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """Turns are deleted, or thoughts retracted, when they are older than `ttl`.

    A rule is about all turns or thoughts that meet its conditions. Where several rules are about
    the same one, the shortest time holds. Age counts from when it was (last) said, or from when it
    was stored if it is dated in the future. A thought goes with those that it had replaced.

    Raises:
        InvalidInput: `ttl` is not positive, `where` is no filter, or a rule for thoughts names a
            session, an agent or a filter, which are about turns.
    """

    ttl: timedelta
    kind: Literal["turn", "thought"] = "turn"
    user_id: str | None = None  # None: of all users
    session_id: str | None = None
    agent_id: str | None = None
    role: Role | None = None  # of the speaker
    where: Where = field(default_factory=dict, hash=False)  # of `memkit.filters`, as JSON data

    def __post_init__(self) -> None:
        if not isinstance(self.ttl, timedelta) or self.ttl <= timedelta(0):
            raise InvalidInput(f"ttl must be a positive timedelta, got {self.ttl!r}")
        if self.kind not in ("turn", "thought"):
            raise InvalidInput(f'kind must be "turn" or "thought", got {self.kind!r}')
        if self.role is not None and self.role not in ROLES:
            raise InvalidInput(f"unknown role {self.role!r}; roles are {', '.join(ROLES)}")
        if self.kind == "thought" and (self.session_id or self.agent_id or self.where):
            raise InvalidInput(
                "a rule for thoughts has no session_id, agent_id or where: a thought may come from "
                "several turns; use a rule for turns, whose thoughts go with them"
            )
        # "all" only passes the check of user_id
        Scope(
            user_id="all" if self.user_id is None else self.user_id,
            session_id=self.session_id, agent_id=self.agent_id,
        )  # fmt: skip
        try:
            json.dumps(dict(self.where))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"where must be JSON data: {error}") from error
        if self.where:
            parse_filter(self.where)


def check_rules(rules: Iterable[RetentionRule]) -> list[RetentionRule]:
    """Return rules as a list; raise InvalidInput if these are none."""
    checked = list(rules) if isinstance(rules, Iterable) else [rules]
    for rule in checked:
        if not isinstance(rule, RetentionRule):
            raise InvalidInput(f"rules must be a list of RetentionRule, got {shorten(rule)}")
    return checked


class PolicyStore(Protocol):
    """What retention asks of a store: every process that opens the memory has the same rules."""

    def retention(self) -> tuple[RetentionRule, ...]:
        """Return the rules of the memory."""

    def set_retention(self, rules: Sequence[RetentionRule], *, source: str = "caller") -> None:
        """Replace the rules by these, under a new version that the ledger notes."""


def to_json(rules: Sequence[RetentionRule]) -> str:
    """Return rules as JSON, with times in seconds, to be stored."""
    records = map(rule_to_dict, rules)
    # "where" is what rules had until 0.11: values that the metadata must equal
    return json.dumps([record | {"filter": record.pop("where", {})} for record in records])


def from_json(text: str) -> tuple[RetentionRule, ...]:
    """Read the rules that `to_json` wrote, now or before there were filters."""
    return tuple(map(_to_rule, json.loads(text)))


def _to_rule(record: dict[str, Any]) -> RetentionRule:
    where = record.pop("filter", None)
    equal = equal_to(record.pop("where", {}))
    return RetentionRule(
        ttl=timedelta(seconds=record.pop("ttl_s")),
        where=equal if where is None else where,
        **record,
    )


def rule_to_dict(rule: RetentionRule) -> dict[str, Any]:
    """Return the fields of a rule that have a value, with its time in seconds."""
    fields = asdict(rule)
    del fields["ttl"]
    fields = {name: value for name, value in fields.items() if value not in (None, {})}
    return {"ttl_s": rule.ttl.total_seconds()} | fields
