"""What a model knows without a memory: recognition, recall from a half cue, exposure.

Sources: Orhan 2023 (arXiv 2303.17557); exposure: Carlini et al., USENIX Security 2019.
"""

import re
from collections.abc import Sequence
from math import log2

from evals.metrics.answers import CJK, rouge_l
from memkit.errors import InvalidInput

_UNIT = re.compile(rf"[{CJK}]|[^\s{CJK}]+")  # a word with its punctuation, or a CJK character


def recognised(seen_loss: float, foil_losses: Sequence[float]) -> float:
    """Return the share of foils that the model finds less likely than the text it has seen.

    .5 is chance; a tie counts half. Losses are means per token, so that lengths may differ.
    """
    wins = sum((seen_loss < foil) + (seen_loss == foil) / 2 for foil in foil_losses)
    return wins / len(foil_losses)


def half_cue(text: str) -> tuple[str, str]:
    """Split a text into a cue, the first half of its words rounded down, and the second half.

    Orhan cuts tokens; words give all models the same cue.

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


def recalled(second_half: str, completion: str) -> float:
    """Return ROUGE-L of a completion against the text that followed the cue.

    The completion is cut to the number of words of the second half, because no model knows where to
    stop. Unlike Orhan, the cue itself is not scored.
    """
    units = list(_UNIT.finditer(completion))[: len(_UNIT.findall(second_half))]
    return rouge_l(completion[: units[-1].end()] if units else "", second_half)


def exposure(rank: int, candidates: int) -> float:
    """Return log2(candidates) − log2(rank) of a canary among its candidates, in bits.

    log2(candidates) says that the canary is the likeliest, and so was learnt; 0 is the least likely
    of all. Chance gives log2(n) − log2(n!) / n on average: .85 of four candidates.
    """
    return log2(candidates) - log2(rank)
