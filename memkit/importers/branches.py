"""The current branch of a conversation that is a tree: its messages were edited or regenerated."""

from collections.abc import Mapping


def find_branch(parents: Mapping[str, str | None], leaf: str | None) -> list[str]:
    """Return the ids from the root to a leaf.

    Without a known leaf the branch ends at the last message of the last branch. A parent that does
    not exist, or that closes a circle, is the root's.
    """
    if leaf not in parents:
        leaf = _find_last_leaf(parents)
    branch: dict[str, None] = {}  # an ordered set
    while leaf is not None and leaf in parents and leaf not in branch:
        branch[leaf] = None
        leaf = parents[leaf]
    return list(branch)[::-1]


def _find_last_leaf(parents: Mapping[str, str | None]) -> str | None:
    has_children = set(parents.values())
    leaves = [id for id in parents if id not in has_children]
    return next(reversed(leaves or list(parents)), None)
