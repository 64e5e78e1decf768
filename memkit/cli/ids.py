"""Short ids: every command takes the first characters of an id, if only one id begins so."""

import re
from typing import TYPE_CHECKING

from memkit.errors import AmbiguousId, InvalidInput

if TYPE_CHECKING:
    from memkit.protocols import ItemKind, Store

_CANDIDATES = 6  # most ids that an error lists
_GENERATED = re.compile(r"[0-9a-f]{16,32}")  # "3f9a01c27d5e4b88": an id that memkit generated
_SHORT = 8  # characters of a generated id that a table shows


def shorten_id(item_id: str) -> str:
    """Return the first characters of an id that memkit generated, any other id whole."""
    return item_id[:_SHORT] if _GENERATED.fullmatch(item_id) else item_id


def find_id(
    store: "Store", user_id: str, prefix: str, *, kinds: "tuple[ItemKind, ...]"
) -> "tuple[ItemKind, str]":
    """Return the kind and the id of the turn or thought whose id is, or begins with, `prefix`.

    Raises:
        AmbiguousId: several ids begin with it, and none equals it.
        InvalidInput: no id does.
    """
    from memkit.records import Scope

    scope = Scope(user_id=user_id)
    matches = [
        (kind, item_id)
        for kind in kinds
        for item_id in store.match_ids(scope, kind, prefix, _CANDIDATES)
    ]
    exact = [match for match in matches if match[1] == prefix]
    candidates = exact or matches
    if not candidates or not prefix:
        see = " or ".join(f"`memkit {_LISTING[kind]} --user {user_id}`" for kind in kinds)
        raise InvalidInput(f"{user_id!r} has no {' or '.join(kinds)} {prefix!r}; see {see}")
    if len(candidates) > 1:
        ids = tuple(item_id for _, item_id in candidates[:_CANDIDATES])
        raise AmbiguousId(prefix, ids)
    return candidates[0]


def find_thought_id(store: "Store", user_id: str, prefix: str) -> str:
    """Return the id of the thought whose id is, or begins with, `prefix`."""
    return find_id(store, user_id, prefix, kinds=("thought",))[1]


_LISTING = {"turn": "show", "thought": "thoughts"}
