"""The API behind the memory page: whose memory, what it returns, and what it refuses."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memkit import Turn
from memkit.memory import Memory
from memkit.testing import NOON, open_memory

pytest.importorskip("fastapi", reason="pip install 'memkit-llm[server]'")

from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from memkit.server.page import routes
from memkit.server.page.local import local_app

TOKEN = {"Authorization": "Bearer right"}
API = ("overview", "times", "turns", "turn?id=a1", "thoughts", "thought?id=x", "summaries",
       "export", "health")  # fmt: skip
POSTS = ("search", "attention", "correct", "retract", "undo", "forget", "import?name=x")


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Memory]:
    with open_memory(str(tmp_path / "m.db")) as memory:
        for user in ("ann", "bob"):
            memory.remember(
                [
                    Turn(
                        id=f"{user[0]}{n}", text=f"{user} keeps {thing}.", session_id=f"s{n // 2}",
                        said_at=NOON - timedelta(days=9 - n),
                    )
                    for n, thing in enumerate(("bees", "hens", "goats", "ducks"))
                ],
                user_id=user,
            )  # fmt: skip
            memory.think(user_id=user)
        yield memory


@pytest.fixture
def client(stored: Memory) -> Iterator[TestClient]:
    app = local_app(stored, "ann", "right")
    with TestClient(app, base_url="http://127.0.0.1", headers=TOKEN) as client:
        yield client


def texts(answer: Any, name: str) -> list[str]:
    return [item["text"] for item in answer.json()[name]]


# ---- who may see what


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "é"}])
def test_every_route_of_the_api_refuses_a_request_without_the_token(
    stored: Memory, header: dict[str, str]
) -> None:
    client = TestClient(local_app(stored, "ann", "right"), base_url="http://127.0.0.1")
    sent = {name: value.encode() for name, value in header.items()}
    answers = [client.get(f"/api/{path}", headers=sent) for path in API]
    answers += [client.post(f"/api/{path}", json={}, headers=sent) for path in POSTS]

    assert {answer.status_code for answer in answers} == {401}
    assert not any("bees" in answer.text for answer in answers)


def test_the_list_of_routes_above_is_complete(stored: Memory) -> None:
    router = routes(stored, lambda _: "ann")
    paths = {path for path in _paths(router) if path.startswith("/api/")}

    assert paths == {f"/api/{path.partition('?')[0]}" for path in (*API, *POSTS)}


def _paths(router: Any) -> Iterator[str]:
    app = FastAPI()
    app.include_router(router)
    yield from app.openapi()["paths"]


def test_a_token_in_the_query_opens_nothing(client: TestClient) -> None:
    answer = client.get("/api/overview?token=right", headers={"Authorization": ""})

    assert answer.status_code == 401


def test_a_foreign_host_name_is_refused(client: TestClient) -> None:
    answer = client.get("/api/overview", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "ann" not in answer.text


def test_a_page_of_one_user_never_shows_anothers_turns(client: TestClient) -> None:
    answers = [client.get(f"/api/{path}") for path in API]
    answers.append(client.get("/api/turn?id=b1"))
    answers.append(client.post("/api/search", json={"query": "bob keeps bees"}))

    assert not any("bob" in answer.text for answer in answers)


def test_the_error_of_user_of_reaches_the_page(stored: Memory) -> None:
    def user_of(_: Request) -> str:
        raise HTTPException(403, "this key may not see memories")

    app = FastAPI()
    app.include_router(routes(stored, user_of), prefix="/memory")
    client = TestClient(app)

    answer = client.get("/memory/api/overview")
    assert (answer.status_code, answer.json()) == (403, {"error": "this key may not see memories"})
    assert client.get("/memory/").status_code == 200
    assert client.get("/memory").url.path == "/memory/"


def test_every_response_forbids_foreign_scripts_and_caching(client: TestClient) -> None:
    for path in ("/", "/main.js", "/api/overview", "/api/turn?id=none", "/api/turn"):
        headers = client.get(path).headers
        assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_the_page_at_the_root_leaves_other_routes_to_the_app(stored: Memory) -> None:
    app = FastAPI()
    app.include_router(routes(stored, lambda _: "ann"))
    app.get("/healthz")(lambda: "well")

    assert TestClient(app).get("/healthz").json() == "well"


def test_only_files_of_the_page_are_served(client: TestClient) -> None:
    for path in ("/__init__.py", "/..%2froutes.py", "/%2e%2e/routes.py", "/static/main.js"):
        assert client.get(path).status_code == 404


def test_no_file_of_the_page_loads_anything_from_elsewhere(client: TestClient) -> None:
    for name in ("", "style.css", "main.js", "dom.js", "icon.svg"):
        text = client.get(f"/{name}").text.replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text
        assert "innerHTML" not in text


# ---- turns


def test_pages_of_turns_cover_all_in_the_order_said(client: TestClient) -> None:
    times = client.get("/api/times").json()["times"]
    pages = [
        client.get("/api/turns", params={"from_end": end, "limit": 2}).json()["turns"]
        for end in (4, 2)
    ]

    assert times == sorted(times)
    assert len(times) == 4
    assert [turn["id"] for page in pages for turn in page] == ["a0", "a1", "a2", "a3"]


def test_a_conversation_has_its_own_turns_only(client: TestClient) -> None:
    answer = client.get("/api/turns", params={"session_id": "s1"})

    assert texts(answer, "turns") == ["ann keeps goats.", "ann keeps ducks."]


def test_a_long_turn_is_cut_in_a_list_and_whole_alone(client: TestClient, stored: Memory) -> None:
    stored.remember(Turn(id="long", text="word " * 2_000), user_id="ann")
    (shown,) = client.get("/api/turns", params={"from_end": 1}).json()["turns"]
    whole = client.get("/api/turn", params={"id": "long"}).json()["turn"]

    assert (len(shown["text"]), shown["length"], len(whole["text"])) == (4_000, 10_000, 10_000)


# ---- thoughts


def test_a_replaced_thought_moves_to_those_believed_before(
    client: TestClient, stored: Memory
) -> None:
    old = stored.thoughts(user_id="ann")[0]
    new = client.post("/api/correct", json={"id": old.id, "text": "Ann keeps cats."}).json()

    assert "Ann keeps cats." in texts(client.get("/api/thoughts"), "thoughts")
    before = client.get("/api/thoughts", params={"state": "before"}).json()["thoughts"]
    assert [(item["text"], item["closed_by"]) for item in before] == [
        (old.text, new["thought"]["id"])
    ]
    versions = client.get("/api/thought", params={"id": old.id}).json()["versions"]
    assert [item["text"] for item in versions] == [old.text, "Ann keeps cats."]


def test_a_correction_is_taken_back_by_forgetting_its_words(
    client: TestClient, stored: Memory
) -> None:
    before = {thought.text for thought in stored.thoughts(user_id="ann")}
    thought_id = stored.thoughts(user_id="ann")[0].id
    new = client.post("/api/correct", json={"id": thought_id, "text": "Ann keeps cats."}).json()
    client.post("/api/forget", json={"turn_ids": new["thought"]["turn_ids"], "dry_run": False})

    assert {thought.text for thought in stored.thoughts(user_id="ann")} == before


def test_a_retraction_can_be_undone(client: TestClient, stored: Memory) -> None:
    before = {thought.text for thought in stored.thoughts(user_id="ann")}
    thought_id = stored.thoughts(user_id="ann")[0].id
    answer = client.post("/api/retract", json={"id": thought_id}).json()
    without = {thought.text for thought in stored.thoughts(user_id="ann")}
    client.post("/api/undo", json={"event": answer["event"]})

    assert len(without) == len(before) - 1
    assert {thought.text for thought in stored.thoughts(user_id="ann")} == before


def test_thoughts_are_filtered_by_words_and_by_day(client: TestClient) -> None:
    hens = client.get("/api/thoughts", params={"text": "HENS"})
    early = client.get(
        "/api/thoughts", params={"as_of": (NOON - timedelta(days=8, hours=12)).isoformat()}
    )

    assert texts(hens, "thoughts") == ["ann keeps hens."]
    assert texts(early, "thoughts") == ["ann keeps bees."]


# ---- search


def test_a_hit_has_the_share_of_each_signal(client: TestClient) -> None:
    hits = client.post("/api/search", json={"query": "Who keeps hens?"}).json()["hits"]

    assert hits[0]["text"] == "ann keeps hens."
    assert sum(hits[0]["explain"].values()) == pytest.approx(hits[0]["relevance"])


def test_attention_has_the_turns_inside_the_opened_chunks(client: TestClient) -> None:
    answer = client.post("/api/attention", json={"query": "Who keeps hens?"}).json()
    turns = [turn for chunk in answer["best"] for turn in chunk["turns"]]

    assert max(turns, key=lambda turn: turn["share"])["text"] == "ann keeps hens."
    assert sum(chunk["weight"] for chunk in answer["opened"]) == pytest.approx(1)


def test_search_as_of_a_day_knows_nothing_later(client: TestClient) -> None:
    form = {"query": "ann keeps ducks", "as_of": (NOON - timedelta(days=8)).isoformat()}

    assert "ann keeps ducks." not in texts(client.post("/api/search", json=form), "hits")


# ---- forgetting


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        ({"turn_ids": ["a1"]}, {"a1"}),
        ({"session_id": "s1"}, {"a2", "a3"}),
        ({"everything": True}, {"a0", "a1", "a2", "a3"}),
    ],
)
def test_what_the_preview_shows_is_what_goes(
    client: TestClient, stored: Memory, selection: dict[str, Any], ids: set[str]
) -> None:
    shown = client.post("/api/forget", json=selection).json()
    assert len(list(stored.turns(user_id="ann"))) == 4
    gone = client.post("/api/forget", json=selection | {"dry_run": False}).json()

    assert {turn["id"] for turn in shown["turns"]} == ids == set(gone["receipt"]["turn_ids"])
    assert shown["receipt"]["thought_ids"] == gone["receipt"]["thought_ids"]
    assert {turn.id for turn in stored.turns(user_id="ann")} == {"a0", "a1", "a2", "a3"} - ids
    assert len(list(stored.turns(user_id="bob"))) == 4


def test_the_preview_shows_thoughts_that_no_longer_hold_too(
    client: TestClient, stored: Memory
) -> None:
    old = next(item for item in stored.thoughts(user_id="ann") if "hens" in item.text)
    stored.correct(old.id, "Ann keeps cats.", user_id="ann")
    shown = client.post("/api/forget", json={"turn_ids": ["a1"]}).json()

    assert [thought["text"] for thought in shown["thoughts"]] == ["ann keeps hens."]
    assert shown["receipt"]["thoughts"] == 1


def test_the_receipt_is_signed_and_has_no_words(client: TestClient) -> None:
    answer = client.post("/api/forget", json={"turn_ids": ["a1"], "dry_run": False}).json()

    assert answer["unsigned"] is None
    assert answer["receipt"]["purged"]
    assert json.loads(answer["document"])["turn_ids"] == ["a1"]
    assert "hens" not in answer["document"]


def test_a_receipt_that_cannot_be_signed_says_why(stored: Memory) -> None:
    Path(f"{stored.store.path}.key").write_bytes(b"no key")
    client = TestClient(local_app(stored, "ann", "right"), base_url="http://127.0.0.1")
    form = {"turn_ids": ["a1"], "dry_run": False}
    answer = client.post("/api/forget", json=form, headers=TOKEN).json()

    assert "is no key of a memory" in answer["unsigned"]
    assert json.loads(answer["document"])["turn_ids"] == ["a1"]
    assert "a1" not in [turn.id for turn in stored.turns(user_id="ann")]


def test_forgetting_names_turns_in_one_way_only(client: TestClient, stored: Memory) -> None:
    for form in ({}, {"session_id": "s1", "everything": True}, {"turn_ids": ["a1"], "all": True}):
        answer = client.post("/api/forget", json=form | {"dry_run": False})
        assert answer.status_code in (400, 422)
        assert answer.json()["error"]
    assert len(list(stored.turns(user_id="ann"))) == 4


# ---- import, export, health


def test_an_export_is_imported_again_without_repeats(client: TestClient) -> None:
    export = client.get("/api/export").content
    again = client.post("/api/import?name=memory.jsonl", content=export).json()

    assert (again["format"], again["turns"], again["skipped"]) == ("export", 0, 4)


def test_an_import_says_which_lines_are_wrong_by_the_name_of_the_file(client: TestClient) -> None:
    lines = b'{"role": "user", "content": "Ann keeps a cat."}\n{"role": "king"}\n'
    answer = client.post("/api/import", params={"name": "<b>talk</b>.jsonl"}, content=lines).json()

    assert (answer["read"], answer["new"], answer["failed"]) == (1, 1, 1)
    assert answer["problems"][0].startswith("<b>talk</b>.jsonl, line 2:")


def test_an_upload_beyond_the_limit_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memkit.server.page.transfer.MOST_BYTES", 10)

    answer = client.post("/api/import?name=x", content=b"x" * 11)
    assert answer.status_code == 413
    assert "memkit import" in answer.json()["error"]


def test_health_checks_rows_and_ledger(client: TestClient) -> None:
    sound = client.get("/api/health").json()

    assert (sound["faults"], sound["ledger"]["faults"]) == ([], [])
    assert sound["ledger"]["events"] > 0
    assert {event["kind"] for event in sound["recent"]} >= {"remember", "think"}


def test_faults_that_name_another_user_are_only_counted(
    client: TestClient, stored: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "doctor", lambda: ["vector index of 'bob': 3 rows differ"])

    (fault,) = client.get("/api/health").json()["faults"]
    assert fault.startswith("1 fault")
    assert "bob" not in fault


# ---- hostile and wrong input

HOSTILE = (
    "<img src=x>",
    "a/b?c#d",
    "..",
    "\u202eevil",
    "'; DROP TABLE turns; --",
    "😀" * 50,
    "%00",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_and_texts_come_back_as_they_are(
    client: TestClient, stored: Memory, text: str
) -> None:
    stored.remember(Turn(id=text, text=text, name=text, session_id=text), user_id="ann")
    turn = client.get("/api/turn", params={"id": text}).json()["turn"]
    in_session = client.get("/api/turns", params={"session_id": text})

    assert (turn["id"], turn["text"], turn["speaker"]) == (text, text, text)
    assert texts(in_session, "turns") == [text]
    assert client.post("/api/search", json={"query": text}).status_code == 200


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.get("/api/turn", params={"id": "none"}),
        lambda client: client.get("/api/turn", params={"id": "\0"}),
        lambda client: client.get("/api/turns", params={"session_id": "a\0b"}),
        lambda client: client.get("/api/turns", params={"limit": 10**9}),
        lambda client: client.get("/api/thought", params={"id": "none"}),
        lambda client: client.get("/api/thoughts", params={"as_of": "2024-01-01T00:00:00"}),
        lambda client: client.post("/api/search", json={"query": "x", "as_of": "yesterday"}),
        lambda client: client.post("/api/search", json={"query": " "}),
        lambda client: client.post("/api/search", content=b"{"),
        lambda client: client.post("/api/undo", json={"event": "0" * 64}),
        lambda client: client.post("/api/correct", json={"id": "none", "text": "x"}),
        lambda client: client.post("/api/import?name=x", content=b"\xff\xfe\0"),
        lambda client: client.post("/api/import?name=x", content=b"SQLite format 3\0"),
        lambda client: client.post("/api/search", content=b'{"query": "\\ud800"}'),
    ],
)
def test_a_wrong_request_gets_a_sentence_and_not_a_failure(
    client: TestClient, send: Callable[[TestClient], Any]
) -> None:
    answer = send(client)

    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]
