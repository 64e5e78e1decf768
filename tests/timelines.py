"""Timelines made up for tests, and what their windows are in the plainest way."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from memkit import windows
from memkit.protocols import Integers, Timeline


def integers(values: Sequence[int]) -> Integers:
    return np.array(values, dtype=np.int64)


def timeline(tokens: Sequence[int], sessions: Sequence[int] | None = None) -> Timeline:
    """Return a timeline of chunks of these lengths, each a turn, said by one speaker."""
    n = len(tokens)
    return Timeline(
        sessions=integers(sessions or [0] * n), turns=np.arange(n), tokens=integers(tokens),
        said_us=np.arange(n), speakers=integers([0] * n), names=("user",),
    )  # fmt: skip


def _in_sessions(chunks: list[tuple[int, bool]]) -> Timeline:
    begun = np.cumsum([new for _, new in chunks], dtype=np.int64)
    return timeline([tokens for tokens, _ in chunks], (begun - begun[:1]).tolist())


# short and long chunks, and whether a session begins with each
TIMELINES = st.lists(
    st.tuples(st.integers(1, 30) | st.sampled_from([90, 150, 10_000]), st.booleans()), max_size=16
).map(_in_sessions)


def share(line: Timeline, here: int, there: int) -> float:
    """Return how much of the chunk `there` is in the window of the chunk `here`."""
    if here == there:
        return 1.0
    if line.sessions[here] != line.sessions[there] or abs(here - there) > windows._REACH:
        return 0.0
    first, last = sorted((here, there))
    between = line.tokens[first + 1 : last].sum()
    apart = float(between + (line.tokens[here] + line.tokens[there]) / 2)
    weight = 0.5 ** (apart / windows.HALF_LIFE)
    return weight if weight >= windows._LEAST else 0.0
