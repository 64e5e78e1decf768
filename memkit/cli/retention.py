"""retention: how long turns and thoughts are kept."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from memkit.cli import output
from memkit.cli.options import (
    DEFAULT_STORE,
    Agent,
    AsJson,
    MaybeUser,
    Session,
    StorePath,
    Where,
    open_memory,
    open_store,
    parse_where,
)
from memkit.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memkit.govern.retention import Expiry
    from memkit.policy import RetentionRule
    from memkit.records import Role

retention = typer.Typer(help="How long turns and thoughts are kept. Rules belong to the memory.")

Kind = StrEnum("Kind", ["turn", "thought"])


@retention.command()
def add(
    *,
    days: Annotated[float, typer.Option(help="Delete what is older than this.")],
    kind: Annotated[
        Kind, typer.Option(help="turn: delete it. thought: retract it, and keep its turns.")
    ] = Kind.turn,
    user: MaybeUser = None,
    session: Session = None,
    agent: Agent = None,
    role: Annotated[str | None, typer.Option(help="Only what this role said.")] = None,
    where: Where = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what all rules would delete now.")
    ] = False,
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Add a rule. Of several that are about the same turn, the shortest time holds.

    It is applied by the next work on the memory, and by `memkit retention apply`.
    """
    from memkit.policy import RetentionRule, rule_to_dict

    try:
        ttl = timedelta(days=days)
    except (OverflowError, ValueError) as error:
        raise InvalidInput(f"--days {days} is no length of time: {error}") from error
    rule = RetentionRule(
        ttl=ttl, kind="thought" if kind is Kind.thought else "turn", user_id=user,
        session_id=session, agent_id=agent, role=cast("Role | None", role),
        where=parse_where(where) or {},
    )  # fmt: skip
    if dry_run:
        with open_memory(store, None) as memory:
            expiries = memory.set_retention([*memory.retention(), rule], dry_run=True)
        _print_expiries(expiries, dry_run=True, as_json=json_)
        return
    with open_store(store) as backend:
        rules = [*backend.retention(), rule]
        backend.set_retention(rules)
    number = len(rules)
    text = f"rule {number}: {_describe(rule)}"
    output.print_result({"rule": number} | rule_to_dict(rule), text, as_json=json_)


@retention.command("list")
def list_(store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """List the rules. Exit with 1 if there are none."""
    from memkit.policy import rule_to_dict

    with open_store(store) as backend:
        rules = backend.retention()
    if json_:
        for number, rule in enumerate(rules, start=1):
            output.print_json({"rule": number} | rule_to_dict(rule))
    elif rules:
        rows = [[str(number), _describe(rule)] for number, rule in enumerate(rules, start=1)]
        output.print_table(["rule", "what it does"], rows)
    if not rules:
        output.end_with_nothing("no rules: everything is kept")


@retention.command()
def remove(
    number: Annotated[int, typer.Argument(help="Its number in `memkit retention list`.")],
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Remove a rule."""
    with open_store(store) as backend:
        rules = list(backend.retention())
        if not 1 <= number <= len(rules):
            raise InvalidInput(f"there is no rule {number}; there are {len(rules)}")
        del rules[number - 1]
        backend.set_retention(rules)
    output.print_result({"rules": len(rules)}, f"{len(rules)} rules are left", as_json=json_)


@retention.command()
def apply(store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """Delete what is too old now. Exit with 1 if nothing is."""
    with open_memory(store, None) as memory:
        expiries = memory.apply_retention()
    _print_expiries(expiries, dry_run=False, as_json=json_)


def _print_expiries(expiries: "Sequence[Expiry]", *, dry_run: bool, as_json: bool) -> None:
    """Print what was deleted of each user, or would be; exit with 1 if nothing."""
    from memkit.cli.deletion import count_parts, receipt_to_dict

    deleted, retracted = "deleted", "retracted"
    if dry_run:
        deleted, retracted = "would delete", "would retract"
    for expiry in expiries:
        parts = [f"{deleted} {count_parts(expiry.receipt)}"] if expiry.receipt else []
        if expiry.retracted:
            parts.append(f"{retracted} {output.count_noun(len(expiry.retracted), 'thought')}")
        data = receipt_to_dict(expiry.receipt) if expiry.receipt else {"user_id": expiry.user_id}
        output.print_result(
            data | {"retracted": list(expiry.retracted)},
            f"{expiry.user_id}: {'; '.join(parts)}", as_json=as_json,
        )  # fmt: skip
    if not expiries:
        output.end_with_nothing("nothing is too old")


def _describe_filter(where: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield ("tag =", "work") for a bare value, and ("n", "gt 3") for each operator."""
    for key, value in where.items():
        if isinstance(value, Mapping):
            yield from ((key, f"{operator} {operand}") for operator, operand in value.items())
        else:
            yield f"{key} =", value


def _describe(rule: "RetentionRule") -> str:
    """Return "delete turns of user ann after 30 days"."""
    verb = "delete turns" if rule.kind == "turn" else "retract thoughts"
    conditions = [
        f"{name} {value}"
        for name, value in (
            ("user", rule.user_id), ("session", rule.session_id), ("agent", rule.agent_id),
            ("role", rule.role), *_describe_filter(rule.where),
        )
        if value is not None
    ]  # fmt: skip
    scope = f" of {', '.join(conditions)}" if conditions else ""
    return f"{verb}{scope} after {rule.ttl.total_seconds() / 86_400:g} days"
