"""What pictures show, and that they can be read. That they look well was seen by eye."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.dates import date2num
from matplotlib.figure import FigureBase
from matplotlib.legend import Legend
from matplotlib.text import Text

import memkit
from memkit import Turn, plots
from memkit.background.pruning import Forgetting, retention_weights
from memkit.errors import InvalidInput
from memkit.plots.groups import project
from memkit.plots.picture import Picture
from memkit.protocols import ChunkAge
from memkit.records import Hit, Source, Thought
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOSTILE = "$x^$ <b>日本</b> \x1b[2J\u202e _a\nb " + "long " * 40
CITIES = ("Oslo", "Bergen", "Rome", "Lima", "Accra", "Quito", "Delhi")
LIKES = ("jazz", "green tea", "hiking in the rain", "chess", "long walks by the harbour")


def said(n: int) -> Turn:
    who = ("Ann", "Bob", HOSTILE)[n % 3]
    about = (f"I moved to {CITIES[n % 7]} last week!", f"I like {LIKES[n % 5]}.", HOSTILE)[
        n // 3 % 3
    ]
    at = NOON + timedelta(days=n // 6 * 2, minutes=n % 6)
    return Turn(id=str(n), text=about, name=" ".join(who.split()).replace("\x1b", ""), said_at=at,
                session_id=f"s{n // 6}")  # fmt: skip


def remembered(turns: int) -> memkit.Memory:
    settings = memkit.Settings(background=False)
    memory = memkit.open(":memory:", embedder=HashEmbedder(), settings=settings, clock=lambda: NOON)
    memory.remember([said(n) for n in range(turns)], user_id="ann")
    memory.flush()
    return memory


@pytest.fixture(scope="module", params=[4, 150], ids=["few", "many"])
def dialogue(request: pytest.FixtureRequest) -> Iterator[memkit.Memory]:
    with remembered(request.param) as memory:
        yield memory


def whole_history(memory: memkit.Memory) -> list[Thought]:
    thoughts = memory.thoughts(user_id="ann")
    return [one for now in thoughts for one in memory.history(now.id, user_id="ann")]


DRAWN: dict[str, Callable[[memkit.Memory], Picture]] = {
    "attention": lambda memory: plots.attention(memory, f"Who moved? {HOSTILE}", user_id="ann"),
    "forgetting": lambda _: plots.forgetting(),
    "groups": lambda memory: plots.groups(memory, user_id="ann"),
    "relevance": lambda memory: plots.relevance(memory.recall("Who moved?", user_id="ann", k=40)),
    "validity": lambda memory: plots.validity(whole_history(memory)),
}


def axes_of(figure: FigureBase) -> list[Axes]:
    return [one for one in figure.findobj(Axes) if isinstance(one, Axes)]


def texts(figure: FigureBase) -> list[Text]:
    """What is written in a picture, the labels of ticks that can be seen among it."""
    found: list[Any] = [one for legend in figure.findobj(Legend) for one in legend.get_texts()]
    found += [one._suptitle for one in (figure, *figure.subfigs) if one._suptitle]
    for axes in axes_of(figure):
        found += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            found.append(axis.get_offset_text())
            inside = (min(low, high), max(low, high))
            for tick in axis.get_major_ticks():
                if tick.label1.get_visible() and inside[0] <= tick.get_loc() <= inside[1]:
                    found.append(tick.label1)
    return [one for one in found if one.get_visible() and one.get_text()]


@pytest.mark.parametrize("look", ["default", "dark_background"])
@pytest.mark.parametrize("name", DRAWN)
def test_no_two_labels_of_a_picture_overlap_and_none_is_cut(
    name: str, look: str, dialogue: memkit.Memory
) -> None:
    with style.context(look):
        figure = DRAWN[name](dialogue)
        figure.draw_without_rendering()
        boxes = [(one.get_text(), one.get_window_extent()) for one in texts(figure)]
    assert len(boxes) > 5
    for text, box in boxes:
        assert figure.bbox.x0 <= box.x0 + 1, text
        assert box.x1 <= figure.bbox.x1 + 1, text
        assert figure.bbox.y0 <= box.y0 + 1, text
        assert box.y1 <= figure.bbox.y1 + 1, text
    for (one, box), (other, beside) in combinations(boxes, 2):
        wide = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        high = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert min(wide, high) <= 1, (one, other)


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_has_the_colours_that_matplotlib_is_set_to(
    name: str, dialogue: memkit.Memory
) -> None:
    with style.context("dark_background"):
        figure = DRAWN[name](dialogue)
    assert figure.get_facecolor() == to_rgba("black")
    labels = [axes.xaxis.label for axes in axes_of(figure)]
    assert {to_rgba(one.get_color()) for one in labels} == {to_rgba("white")}


@pytest.mark.parametrize("name", DRAWN)
def test_a_notebook_shows_a_picture_without_pyplot(name: str, dialogue: memkit.Memory) -> None:
    assert DRAWN[name](dialogue)._repr_png_().startswith(b"\x89PNG")


def test_attention_is_shared_by_chunks_and_by_the_turns_inside_the_best() -> None:
    with remembered(60) as memory:
        above, below = axes_of(plots.attention(memory, "I moved to Lima", user_id="ann"))
    heights = np.asarray(above.lines[0].get_ydata(), dtype=float)
    assert heights.sum() == pytest.approx(1)
    assert (heights > 0).sum() == 8  # what recall opens
    assert "8 of" in above.get_xlabel()
    bars = [bar.get_width() for bar in below.patches]
    headings = [
        n for n, label in enumerate(below.get_yticklabels()) if label.get_weight() == "bold"
    ]
    assert len(headings) == 3
    inside = [
        sum(bars[start:end]) for start, end in zip(headings, [*headings[1:], None], strict=True)
    ]
    assert inside == pytest.approx(sorted(heights)[:-4:-1])


def test_attention_looks_only_at_what_was_said_by_then_and_to_whom_it_belongs() -> None:
    with remembered(60) as memory:
        early = plots.attention(memory, "Lima", user_id="ann", as_of=NOON + timedelta(days=1))
        assert "of 1 chunks" in axes_of(early)[0].get_xlabel()
        one = plots.attention(memory, "Lima", user_id="ann", session_id="s3")
        assert "of 1 chunks" in axes_of(one)[0].get_xlabel()
        with pytest.raises(InvalidInput, match=r"'bob' has no turns .* remember\(\)"):
            plots.attention(memory, "Lima", user_id="bob")
        with pytest.raises(InvalidInput, match="question is empty"):
            plots.attention(memory, " ", user_id="ann")


def test_a_hits_bar_is_made_up_of_its_arms() -> None:
    explain = ({"dense": 0.1, "lexical": 0.3}, {"lexical": 0.2, "mine": 0.1}, {})
    hits = [
        Hit(
            text=f"{n}", relevance=relevance, kind="turn", said_at=NOON, turn_ids=(), explain=shares
        )
        for n, (relevance, shares) in enumerate(zip((0.4, 0.3, 0.2), explain, strict=True))
    ]
    figure = plots.relevance(hits)
    (axes,) = axes_of(figure)
    ends = {round(bar.get_y() + 0.35): bar.get_x() + bar.get_width() for bar in axes.patches
            if bar.get_width()}  # fmt: skip
    assert ends == pytest.approx({0: 0.4, 1: 0.3, 2: 0.2})
    named = [one.get_text() for one in figure.legends[0].get_texts()]
    assert named == ["dense", "lexical", "mine", "relevance"]
    with pytest.raises(InvalidInput, match="no hits to draw"):
        plots.relevance([])


def test_a_thoughts_bar_lasts_as_long_as_it_holds() -> None:
    old = Thought(
        id="1", text="Ann lives in Oslo.", sources=(Source(turn_id="t", start=0, end=1),),
        said_by="Ann", role="user", said_at=NOON, repeated_at=NOON, valid_from=NOON, head="Ann",
        valid_to=NOON + timedelta(days=30),
    )  # fmt: skip
    new = replace(old, id="2", text="Ann lives in Rome.", valid_from=old.valid_to, valid_to=None)
    other = replace(new, id="3", text="Bob likes jazz.", head="Bob", conflicts=("1",))
    (axes,) = axes_of(plots.validity([new, old, other, old]))
    closed, holds, doubtful = axes.patches
    assert closed.get_x() == pytest.approx(date2num(NOON))
    assert closed.get_width() == pytest.approx(30)
    assert holds.get_x() == pytest.approx(date2num(old.valid_to))
    assert holds.get_x() + holds.get_width() == pytest.approx(axes.get_xlim()[1])
    assert closed.get_alpha() < holds.get_alpha() == 1
    assert doubtful.get_facecolor() != holds.get_facecolor()
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["Ann", old.text, new.text, "Bob", other.text]
    with pytest.raises(InvalidInput, match=r"no thoughts to draw; call memory.think\(\)"):
        plots.validity([])


def test_the_forgetting_curve_is_the_weight_that_pruning_goes_by() -> None:
    policy = Forgetting(rate=0.01, bonus=0.25)
    for axes, sign in zip(axes_of(plots.forgetting(policy)), ("intended", "printed"), strict=True):
        assert axes.get_title() == f'sign="{sign}"'
        lately, unused = axes.lines[:2]
        assert lately.get_label() == "retrieved lately"
        for line, retrieved in ((lately, 1000), (unused, None)):
            for age, drawn in zip(line.get_xdata()[::40], line.get_ydata()[::40], strict=True):
                aged = ChunkAge(id="", position=1000 - age, retrieved=retrieved, hidden=False)
                (weight,) = retention_weights([aged], 1000, replace(policy, sign=sign))
                assert drawn == pytest.approx(weight)


@pytest.mark.parametrize("rate", [0.0, 5.0, 1e-6])
def test_any_rate_of_forgetting_can_be_drawn(rate: float) -> None:
    assert plots.forgetting(Forgetting(rate=rate))._repr_png_()


def test_every_thought_stands_in_one_group_and_in_one_place(dialogue: memkit.Memory) -> None:
    thoughts = dialogue.thoughts(user_id="ann")
    sizes, places = axes_of(plots.groups(dialogue, user_id="ann", table=3))
    assert sum(bar.get_height() for bar in sizes.patches) == len(thoughts)
    drawn = [len(dots.get_offsets()) for dots in places.collections]
    assert sum(drawn) == len(thoughts)
    largest = [bar.get_height() for bar in sizes.patches[:7]]
    assert drawn[: len(largest)] == largest


def test_groups_need_thoughts_and_a_table_that_there_is(memory: memkit.Memory) -> None:
    with pytest.raises(InvalidInput, match="'ann' has no thoughts"):
        plots.groups(memory, user_id="ann")
    with pytest.raises(InvalidInput, match="table must be from 0 to 15"):
        plots.groups(memory, user_id="ann", table=16)


def test_two_principal_components_keep_the_distances_in_a_plane() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(7, 2)) @ np.linalg.qr(rng.normal(size=(20, 2)))[0].T
    found = project(flat.astype(np.float32))
    for one, other in combinations(range(7), 2):
        distance = np.linalg.norm(flat[one] - flat[other])
        assert np.linalg.norm(found[one] - found[other]) == pytest.approx(distance, rel=1e-4)
    assert project(np.ones((1, 20), dtype=np.float32)).tolist() == [[0, 0]]


def test_pictures_open_no_window_and_change_no_setting(dialogue: memkit.Memory) -> None:
    before = dict(mpl.rcParams)
    DRAWN["validity"](dialogue)
    assert dict(mpl.rcParams) == before
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_without_matplotlib_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from memkit.errors import MissingExtra\n"
        "try:\n    import memkit.plots\n"
        "except MissingExtra as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "pip install 'memkit-llm[notebooks]'" in done.stdout
