"""Timelines made up for tests, and what their windows are in the plainest way."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from memkit.protocols import Integers, Timeline
from memkit.retrieval import windows

HOUR_US = 3600 * 10**6


def integers(values: Sequence[int]) -> Integers:
    return np.array(values, dtype=np.int64)


def timeline(
    tokens: Sequence[int], sessions: Sequence[int] | None = None, hours: Sequence[int] | None = None
) -> Timeline:
    """Return a timeline of chunks of these lengths, each a turn, said by one speaker."""
    n = len(tokens)
    return Timeline(
        sessions=integers(sessions or [0] * n), turns=np.arange(n), tokens=integers(tokens),
        said_us=integers(hours or [0] * n) * HOUR_US, speakers=integers([0] * n), names=("user",),
    )  # fmt: skip


def _told(chunks: list[tuple[int, str]]) -> Timeline:
    session = hour = 0
    sessions, hours = [], []
    for n, (_, how) in enumerate(chunks):
        session += n > 0 and how == "anew"
        hour += {"on": 1, "later": 13, "anew": -20}[how]
        sessions.append(session)
        hours.append(hour)
    return timeline([tokens for tokens, _ in chunks], sessions, hours)


# short and long chunks; each goes on, comes after a pause, or begins a session
TIMELINES = st.lists(
    st.tuples(
        st.integers(1, 30) | st.sampled_from([90, 150, 10_000]),
        st.sampled_from(["on", "on", "on", "later", "anew"]),
    ),
    max_size=16,
).map(_told)


def share(line: Timeline, here: int, there: int) -> float:
    """Return how much of the chunk `there` is in the window of the chunk `here`."""
    if here == there:
        return 1.0
    if line.sessions[here] != line.sessions[there] or abs(here - there) > windows._REACH:
        return 0.0
    first, last = sorted((here, there))
    if any(np.diff(line.said_us[first : last + 1]) > 12 * HOUR_US):
        return 0.0
    between = line.tokens[first + 1 : last].sum()
    apart = float(between + (line.tokens[here] + line.tokens[there]) / 2)
    weight = 0.5 ** (apart / windows.HALF_LIFE)
    return min(weight, windows._MAX_WEIGHT) if weight >= windows._MIN_WEIGHT else 0.0
