"""What a model knows without being shown: recognition, recall from half, exposure."""

import re
from collections.abc import Sequence
from math import log2

from evals.metrics.answers import CJK, rouge_l
from memkit.errors import InvalidInput

_UNIT = re.compile(rf"[{CJK}]|[^\s{CJK}]+")


def recognised(seen_loss: float, foil_losses: Sequence[float]) -> float:
    """Return the share of foils that the model finds less likely than what it has seen.

    .5 is chance; a tie counts half. Losses are to be means per token, for texts of unequal length.
    Source: Orhan 2023 (arXiv 2303.17557), two-alternative recognition.

    Raises:
        InvalidInput: there is no foil.
    """
    if not foil_losses:
        raise InvalidInput("no foils to recognise against; give at least one")
    won = sum((seen_loss < foil) + (seen_loss == foil) / 2 for foil in foil_losses)
    return won / len(foil_losses)


def half_cue(text: str) -> tuple[str, str]:
    """Return a text in two: the first half of its words, rounded down, as a cue, and the rest.

    Source: Orhan 2023, recall, with words for tokens, so that all models get the same cue.

    Raises:
        InvalidInput: the text has fewer than two words.

    >>> half_cue("I have seen snow.")
    ('I have', 'seen snow.')
    """
    units = list(_UNIT.finditer(text))
    if len(units) < 2:
        raise InvalidInput(f"{text!r} has no two halves; cue with texts of two words or more")
    cut = units[len(units) // 2].start()
    return text[:cut].strip(), text[cut:].strip()


def recalled(rest: str, completion: str) -> float:
    """Return ROUGE-L of a completion with what followed the cue; the cue itself is not scored.

    The completion is cut to as many words as the rest has, because no model knows where to stop.
    Source: Orhan 2023, whose own score includes the cue.
    """
    length = len(_UNIT.findall(rest))
    kept = list(_UNIT.finditer(completion))[:length]
    return rouge_l(completion[: kept[-1].end()] if kept else "", rest)


def exposure(rank: int, candidates: int) -> float:
    """Return log2(candidates) − log2(rank) of a canary among its candidates, in bits.

    0 is the least likely of all; log2(candidates) says that the canary is the likeliest, and so
    was learnt. Of n candidates, chance gives log2(n) − log2(n!) / n on average: .85 of four.
    Source: Carlini et al., USENIX Security 2019.

    Raises:
        InvalidInput: the rank is not from 1 to `candidates`.
    """
    if not 1 <= rank <= candidates:
        raise InvalidInput(f"rank {rank} of {candidates} candidates; ranks count from 1")
    return log2(candidates) - log2(rank)
