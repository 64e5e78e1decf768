"""What HEMA's table asks of a ranking beyond `evals.metrics.retrieval`, from the gold's places."""

from evals.metrics.retrieval import Places


def precision(found: Places, k: int) -> float:
    """Return the share of gold among the first k: places that nothing fills count as wrong.

    No more than |gold| / k can be had. Source: P@k as trec_eval has it.
    """
    return sum(place is not None and place <= k for place in found) / k


def average_precision(found: Places) -> float | None:
    """Return the mean precision at the places of the gold (AUPRC); None if there is no gold.

    Gold that was not found adds 0, so a ranking that was cut short gives a lower bound of the area
    under the whole precision-recall curve. Source: AP as trec_eval has it; Davis and Goadrich,
    ICML 2006, for why the area is not interpolated.
    """
    if not found:
        return None
    at = sorted(place for place in found if place is not None)
    return sum(n / place for n, place in enumerate(at, start=1)) / len(found)
