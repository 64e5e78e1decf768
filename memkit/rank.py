"""Pure ranking: scores in, scores out. Nothing here reads a store or a clock."""

from collections.abc import Mapping

DENSE, LEXICAL = "dense", "lexical"


def fuse(
    cosine: Mapping[str, float], bm25: Mapping[str, float], *, dense_share: float
) -> dict[str, dict[str, float]]:
    """Join two arms' scores by a convex combination; return each item's share from each arm.

    The relevance of an item is the sum of its shares, between 0 and 1. Cosine counts from 0, BM25
    as a part of the best BM25 of this query. What one arm did not return gets the lowest cosine
    (its true one is no higher) or no BM25 that the arm did return.

    Args:
        cosine: item to cosine, from -1 to 1.
        bm25: item to BM25, 0 or more.
        dense_share: weight of the cosine, from 0 to 1; the rest is BM25's.

    Source: Bruch, Gai and Ingber, ACM TOIS 2023 (convex combination with theoretical minima).

    >>> shares = fuse({"a": 0.5, "b": 0.25}, {"b": 8.0}, dense_share=0.5)
    >>> {item: sum(share.values()) for item, share in shares.items()}
    {'a': 0.25, 'b': 0.625}
    """
    if not 0 <= dense_share <= 1:
        raise ValueError(f"dense_share must be in [0, 1], got {dense_share}")
    lowest = max(min(cosine.values(), default=0.0), 0.0)
    best = max(bm25.values(), default=0.0) or 1.0
    return {
        item: {
            DENSE: dense_share * min(max(cosine.get(item, lowest), 0.0), 1.0),
            LEXICAL: (1 - dense_share) * bm25.get(item, 0.0) / best,
        }
        for item in [*cosine, *(item for item in bm25 if item not in cosine)]
    }
