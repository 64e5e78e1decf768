import math
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from browser import BROWSER, measured
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_card import SCORES, SYSTEMS, Size, made_up
from rich.console import Console

from evals.card.records import Audit, Card, Compared, Curve, Figure, Funnel, NotRun, Record
from evals.card.report import dumps, load, markdown, page, plots, show, without_run, write
from evals.metrics.catalogue import METRICS
from memkit.errors import InvalidInput

DATA = ("locomo", "chats")
SMALL = Size(
    systems=SYSTEMS[:3], data=DATA, scores=(*SCORES[:4], "search ms"), kinds=("all", "when"),
    regimes=("replay", "online"),
)  # fmt: skip
HOSTILE = "</svg><script>alert(1)</script>"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
floats = st.floats(-1e6, 1e6, width=32).map(lambda x: round(x, 6) + 0.0)
maybe = st.none() | floats
counts = st.integers(0, 10**9)
cells = st.none() | st.booleans() | counts | floats | texts
values = cells | st.lists(cells, max_size=2) | st.dictionaries(texts, cells, max_size=2)
_STRANGE = {
    "places": st.lists(st.none() | counts, max_size=3).map(tuple),
    "axes": st.dictionaries(texts, floats, max_size=2),
    "points": st.lists(st.dictionaries(texts, cells, max_size=3), max_size=2).map(tuple),
}


def parts(kind: type) -> st.SearchStrategy[tuple]:
    return st.lists(st.builds(kind, **_fields(kind)), max_size=1).map(tuple)


def _fields(kind: type) -> dict[str, st.SearchStrategy]:
    by_name = {
        "value": floats, "difference": floats, "low": maybe, "high": maybe, "p": maybe,
        "p_holm": maybe, "effect": maybe, "threshold": maybe, "confidence": maybe,
        "stale_places": _STRANGE["places"], "scores": _STRANGE["axes"], "costs": _STRANGE["axes"],
        "stages": st.dictionaries(texts, st.booleans(), max_size=2),
        "audit": st.dictionaries(texts, counts, max_size=2),
    } | _STRANGE  # fmt: skip
    return {name: by_name[name] for name in kind.__dataclass_fields__ if name in by_name}


tables = st.dictionaries(texts, values, max_size=2)
cards = st.builds(
    Card, name=texts, config=tables, stamp=tables,
    disclosure=tables,
    data=st.lists(tables, max_size=2).map(tuple), figures=parts(Figure),
    not_run=parts(NotRun), curves=parts(Curve), funnels=parts(Funnel), compared=parts(Compared),
    audits=parts(Audit), records=parts(Record),
)  # fmt: skip


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.fixture(scope="module")
def small() -> Card:
    return made_up(SMALL)


@pytest.fixture(scope="module")
def bare(small: Card) -> Card:
    """The same without plots, which take their time."""
    return replace(small, curves=[], funnels=[])


@pytest.fixture(scope="module")
def html() -> str:
    """The page of one data set in one regime: plots take their time."""
    return page(made_up(replace(SMALL, data=DATA[:1], regimes=("replay",))))


@pytest.fixture(scope="module")
def hostile() -> Card:
    """A card whose every name tries to become markup, mathematics, or a colour."""
    systems = (
        HOSTILE,
        '" onload="x',
        "$x^$",
        "#010101",
        "a|b`c](http://evil)",
        "\x1b[2J 日本 🧠\x00",
    )
    size = replace(
        SMALL,
        systems=systems,
        data=(f"{HOSTILE} data",),
        kinds=("all", HOSTILE),
        regimes=("replay",),
    )
    card = replace(made_up(size), name=HOSTILE, stamp={HOSTILE: {HOSTILE: [HOSTILE]}})
    return replace(card, not_run=[NotRun(what=HOSTILE, data=HOSTILE, why=HOSTILE)])


def test_markdown_has_the_bins_of_every_curve_with_their_n() -> None:
    points = [{"x": x, "label": label, "y": y, "n": 7} for x, label, y in (
        (0.1, "0–0.2", 0.5), (0.9, "0.8–1", 0.25))]  # fmt: skip
    place = {"name": "position", "data": "d", "regime": "replay", "metric": "MRR"}
    lines = [
        Curve(system="memkit", points=points, **place),
        Curve(system="BM25", points=points[1:], **place),
    ]
    text = markdown(replace(made_up(SMALL), curves=lines))

    assert "## Does the place of the evidence matter? d, replay, MRR" in text
    assert "| system | 0–0.2 | 0.8–1 |" in text
    assert "| memkit | 0.500 (n 7) | 0.250 (n 7) |" in text
    assert "| BM25 | – | 0.250 (n 7) |" in text


@settings(max_examples=25)
@given(card=cards)
def test_a_card_is_the_same_after_writing_and_reading(tmp_path: Path, card: Card) -> None:
    (tmp_path / "card.json").write_text(dumps(card), encoding="utf-8")
    assert load(tmp_path / "card.json") == card
    assert dumps(load(tmp_path / "card.json")) == dumps(card)


def test_three_files_are_written_and_nothing_is_left_beside_them(
    tmp_path: Path, bare: Card
) -> None:
    written = write(bare, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(written)
    assert list(written) == ["card.json", "card.md", "card.html"]


def test_floats_are_rounded_so_that_processors_agree(bare: Card) -> None:
    (item, *_) = bare.figures
    noisy = [replace(item, value=x) for x in (0.1 + 0.2, -1e-9)]
    assert '"value": 0.3,' in dumps(replace(bare, figures=noisy[:1]))
    assert '"value": 0.0,' in dumps(replace(bare, figures=noisy[1:]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_named_and_not_written(bare: Card, value: float) -> None:
    figures = [replace(bare.figures[0], value=value)]
    with pytest.raises(InvalidInput, match=r"figures\[0\]\.value"):
        dumps(replace(bare, figures=figures))


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "does not exist"), ("{", "the file"), ('{"name": 1}', "name"), ("[]", "not a card")],
)
def test_what_is_no_card_says_what_is_wrong(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        load(tmp_path / "x.json")


def test_two_runs_are_equal_without_what_differs_from_run_to_run(small: Card) -> None:
    later = replace(
        small,
        stamp={"date": "tomorrow"},
        figures=[
            replace(item, value=item.value + 9) if METRICS[item.metric].layer == "cost" else item
            for item in small.figures
        ],
        curves=[replace(item, points=()) for item in small.curves if item.name == "cost-quality"]
        + [item for item in small.curves if item.name != "cost-quality"],
        records=[replace(item, costs={"search ms": 1.0}) for item in small.records],
    )
    assert dumps(later) != dumps(small)
    assert dumps(without_run(later)) == dumps(without_run(small))


def test_another_score_is_another_card_even_without_the_run(bare: Card) -> None:
    first = replace(bare.records[0], scores={"F1": 0.9})
    other = replace(bare, records=[first, *bare.records[1:]])
    assert dumps(without_run(other)) != dumps(without_run(bare))


def test_the_page_asks_nobody_for_anything(html: str) -> None:
    seen = Tags(html)
    assert not {"script", "img", "link", "iframe", "object"} & set(seen.tags)
    assert all(value.startswith("#") for name, value in seen.attributes if name in ("href", "src"))
    assert any("default-src 'none'" in value for _, value in seen.attributes)


def test_ids_are_unique_on_the_page(html: str) -> None:
    ids = Counter(value for name, value in Tags(html).attributes if name == "id")
    assert max(ids.values()) == 1


def test_hostile_names_stay_text_on_the_page_and_in_its_plots(hostile: Card) -> None:
    html = page(hostile)
    seen = Tags(html)
    assert "script" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert seen.tags.count("svg") == html.count("</svg>") > 5
    assert "&lt;/svg&gt;" in html


def test_hostile_names_stay_text_in_markdown_and_in_a_terminal(hostile: Card) -> None:
    text = markdown(hostile)
    assert "<script" not in text
    assert "](http" not in text
    assert re.search(r"\| a\\\|b", text)
    console = Console(file=StringIO(), width=200)
    show(replace(hostile, name="[red]x[/]"), console)
    assert "[red]x[/]" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[2J" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_plots_take_the_colours_of_the_page(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert drawings
    assert all("var(--s" in item and "currentColor" in item for item in drawings)
    assert not [item for item in drawings if re.search(r"(fill|stroke): #", item)]


def test_the_best_is_marked_by_a_sign_and_respects_which_way_is_better(bare: Card) -> None:
    chosen = [item for item in bare.figures if item.regime == "replay" and item.group == "all"]
    costs = {"memkit": 30.0, "no memory": 10.0, "last turns": 20.0}
    scores = [replace(item, metric="search ms", value=costs[item.system]) for item in chosen]
    line = next(
        item
        for item in markdown(replace(bare, figures=scores)).splitlines()
        if item.startswith("| no memory")
    )
    assert "**10.0 ★**" in line


def test_equals_share_no_star(bare: Card) -> None:
    same = [replace(item, value=0.5) for item in bare.figures]
    text = markdown(replace(bare, figures=same))
    assert "0.500 ★" not in text
    assert "no system is better than another" in text


def test_a_drop_says_which_score_it_is_of_and_an_open_interval_that_it_is(bare: Card) -> None:
    first = bare.figures[0]
    drop = replace(first, layer="contextual", metric="mid-drop", group="all", score="contains")
    life = replace(drop, layer="episodic", metric="half-life", score="", low=12.0, high=None)
    card = replace(bare, figures=[drop, life])
    for text in (page(card), markdown(card)):
        assert "mid-drop (contains)" in text
        assert "[12.0, ∞]" in text


def test_a_funnel_of_sampled_replies_gives_their_share_of_the_answered(small: Card) -> None:
    funnel = Funnel(
        data="locomo", group="all", regime="replay", system="memkit", asked=1986, stored=1986,
        retrieved=993, packed=993, answered=12, used=9, right=9,
    )  # fmt: skip
    (plot,) = plots.losses([funnel], ["memkit"])
    assert "used and right: of the 12 answered" in plot.title
    assert "| 1,986 | 1,986 | 993 | 993 | 12 | 9 | 9 |" in markdown(
        replace(small, funnels=[funnel])
    )


def test_what_did_not_run_has_a_reason_and_no_number(bare: Card) -> None:
    card = replace(bare, figures=[], curves=[], funnels=[], compared=[])
    for text in (page(card), markdown(card)):
        assert "no model: add a [model] to the config" in text
        assert "0.000" not in text


def test_failed_audits_come_first_and_in_words(bare: Card) -> None:
    bad = Audit(name="temporal", data="chats", system="mem0", checked=9, violations=2, passed=False)
    card = replace(bare, audits=[*bare.audits, bad])
    assert "1 of" in page(card).partition("audits failed")[0]
    assert markdown(card).index("FAILED ✗") < markdown(card).index("passed ✓")


def test_the_terminal_names_the_leader_with_its_interval(bare: Card) -> None:
    console = Console(file=StringIO(), width=150)
    show(bare, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"of 2 data sets memkit is best on 2; on locomo memkit has 0\.\d+ \[", text)


def test_the_first_sentence_hides_nobody_who_is_as_good(bare: Card) -> None:
    chosen = [item for item in bare.figures if item.system in {"memkit", "last turns", "no memory"}]
    tied = [replace(item, value=float(item.system != "no memory")) for item in chosen]
    text = " ".join(markdown(replace(bare, figures=tied)).split())
    assert "memkit is best on 2 (2 shared), last turns on 2 (2 shared)" in text


def test_one_system_alone_is_not_said_to_be_no_better(bare: Card) -> None:
    alone = [item for item in bare.figures if item.system == "memkit"]
    text = markdown(replace(bare, figures=alone)).partition("## ")[0]
    assert "best" not in text.partition("**Bold")[0]
    assert "no system is better" not in text


def test_one_reply_makes_nobody_best(bare: Card) -> None:
    few = [replace(item, n=1) if item.metric == "contains" else item for item in bare.figures]
    text = " ".join(markdown(replace(bare, figures=few)).split())
    assert re.search(
        r"Questions answered \(contains, \w+\): too few questions to tell \(n = 1\)", text
    )


def test_regimes_stand_side_by_side_in_markdown_too(small: Card) -> None:
    assert "regimes side by side" in markdown(small)


def test_an_empty_card_can_still_be_shown() -> None:
    empty = Card(
        name="empty", config={}, stamp={}, disclosure={}, data=(), figures=(), not_run=(),
        curves=(), funnels=(), compared=(), audits=(), records=(),
    )  # fmt: skip
    assert "0 systems" in page(empty)
    assert "0 systems" in markdown(empty)


@pytest.mark.slow
def test_a_long_card_stays_small_enough_to_open() -> None:
    scores = [name for name in METRICS if METRICS[name].unit][:60]
    data = [f"data {n}" for n in range(9)]
    assert len(page(made_up(Size(data=data, scores=scores))).encode()) < 3e6


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_nothing_overflows_or_overlaps_in_a_real_browser(tmp_path: Path, hostile: Card) -> None:
    systems = (*SYSTEMS, "memkit without any thoughts")
    card = made_up(replace(SMALL, systems=systems, data=DATA[:1], regimes=("replay",)))
    for item in (card, hostile):
        for width, layout in measured(page(item), tmp_path).items():
            assert layout["overflow"] <= 0, (width, layout)
            assert layout["overlaps"] == [], (width, layout)
            assert layout["cut"] == [], (width, layout)
            assert layout["smallest"] >= 8, (width, layout)
