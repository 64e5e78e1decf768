"""No key reaches another's memory: each route of the application, those of later routers too."""

import json
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="pip install 'memkit-llm[server]'")
pytest.importorskip("httpx2", reason="pip install 'memkit-llm[server]'")
pytest.importorskip("prometheus_client", reason="pip install 'memkit-llm[server]'")

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

import memkit
from memkit.errors import InvalidInput, StoreReadOnly
from memkit.server import app as application
from memkit.server.app import create_app
from memkit.server.keys import KeyFile, add, remove
from memkit.server.page.responses import static_files
from memkit.server.settings import ServerSettings, check_exposure
from memkit.testing import open_memory

# answered without a key; none shows a memory
FILES = {"/memory/", *(f"/memory/{name}" for name in static_files())}  # of the memory page: no data
OPEN = {"/healthz", "/readyz", "/openapi.json", "/page/"} | FILES
ID = "{memory_id:anything}"
ONE = f"/memories/{ID}"
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "m", "input": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
    "/memories": {"messages": "Hi"},
    ONE: {"text": "Hi"},
    "/search": {"query": "secret"},
    "/context": {"query": "secret"},
    "/forget": {"everything": True},
}
WRITES = {
    ("POST", "/memories"), ("DELETE", "/memories"), ("POST", "/forget"), ("PUT", ONE),
    ("DELETE", ONE),
}  # fmt: skip
# routes that are of no user
NOBODYS = {"/metrics", "/v1/models", "/v1/embeddings"}


def page_routes(memory: memkit.Memory, user_of: application.UserOf) -> APIRouter:
    """A page as another module may add one."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    def index() -> str:
        return "the page, without data"

    @router.get("/turns", include_in_schema=False)
    def turns(request: Request) -> list[str]:
        return [turn.text for turn in memory.turns(user_id=user_of(request))]

    @router.post("/forget")
    def forget(request: Request) -> str:
        return user_of(request)

    return router


class Model:
    """A backend that must not be asked for another's memory."""

    async def chat(self, body: Any, headers: Any) -> Any:  # noqa: ARG002
        from memkit.server.backend import ModelAnswer

        message = {"role": "assistant", "content": json.dumps(body["messages"])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return ModelAnswer(body=json.dumps({"choices": [choice]}).encode())

    async def models(self, headers: Any) -> Any:  # noqa: ARG002
        from memkit.server.backend import ModelAnswer

        return ModelAnswer(body=b'{"object": "list", "data": []}')

    async def close(self) -> None: ...


class Keys:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.ann = add(path, user="ann")[1]
        self.bob = add(path, user="bob")[1]
        self.reader = add(path, user="ann", read_only=True)[1]
        self.shop = add(path, prefix="shop:")[1]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.json")


@pytest.fixture
def app(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setattr(application, "PAGES", {"/page": page_routes, **application.PAGES})
    memory = open_memory()
    memory.remember(
        memkit.Turn(id="a1", text="Ann's secret is blue."), user_id="ann", session_id="s"
    )
    memory.remember(memkit.Turn(id="x1", text="A secret of the shop."), user_id="shop:x")
    memory.think(user_id="ann")
    return create_app(memory, Model(), keys=KeyFile(keys.path))


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as running:
        yield running


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Return method and path of every route, those of included routers too."""
    return [
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in sorted(route.methods - {"HEAD"})
    ]


def call(
    client: TestClient, method: str, path: str, key: str | None, user: str | None = None
) -> Any:
    template = path
    path = path.replace(ID, "a1")
    body = BODIES.get(template)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    params = {}
    if user is not None:
        params["user_id"] = user
        if body is not None and template != ONE and method == "POST":
            field = "user" if template.startswith("/v1/") else "user_id"
            body, params = {**body, field: user}, {}
    if method == "DELETE" and user is None:
        params["user_id"] = "ann"
    has_body = method in ("POST", "PUT")
    return client.request(
        method, path, headers=headers, params=params, json=body if has_body else None
    )


def closed(app: FastAPI) -> list[tuple[str, str]]:
    return [(method, path) for method, path in routes(app) if path not in OPEN]


def test_every_route_needs_a_valid_key(app: FastAPI, client: TestClient, keys: Keys) -> None:
    assert len(closed(app)) >= 20
    for method, path in closed(app):
        for key in (None, "", "mk_wrong", keys.ann + "x", keys.ann[:-1], "ä"):
            headers = {} if key is None else {"Authorization": f"Bearer {key}".encode()}
            answer = client.request(
                method, path.replace(ID, "a1"), headers=headers, params={"user_id": "ann"},
                json=BODIES.get(path) if method in ("POST", "PUT") else None,
            )  # fmt: skip
            assert answer.status_code == 401, (method, path, key)
            assert "secret" not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"


def test_no_route_shows_a_user_to_the_key_of_another(
    app: FastAPI, client: TestClient, keys: Keys
) -> None:
    for method, path in closed(app):
        if path in NOBODYS:
            continue
        for key, user in (
            (keys.bob, "ann"), (keys.shop, "ann"), (keys.shop, "shop"), (keys.shop, "a shop:x"),
            (keys.ann, "shop:x"), (keys.ann, "Ann"), (keys.ann, "ann "),
        ):  # fmt: skip
            answer = call(client, method, path, key, user)
            assert answer.status_code == 403, (method, path, user, answer.text)
            assert "secret" not in answer.text
    memory = app.state.services.memory
    assert [turn.id for turn in memory.turns(user_id="ann")] == ["a1"]


def test_an_id_of_another_is_answered_like_one_that_does_not_exist(
    client: TestClient, keys: Keys
) -> None:
    headers = {"Authorization": f"Bearer {keys.bob}"}
    for method in ("GET", "DELETE"):
        theirs = client.request(method, "/memories/a1", headers=headers)
        nobodys = client.request(method, "/memories/zz", headers=headers)
        assert (theirs.status_code, theirs.content) == (nobodys.status_code, nobodys.content)
        assert theirs.status_code == 404
    assert client.get("/memories/a1/history", headers=headers).status_code == 404
    answer = client.put("/memories/a1", headers=headers, json={"text": "Hi"})
    assert answer.status_code == 404


def test_a_key_that_may_only_read_changes_nothing(
    app: FastAPI, client: TestClient, keys: Keys
) -> None:
    before = app.state.services.memory.checkpoint()
    for method, path in closed(app):
        answer = call(client, method, path, keys.reader)
        of_page = path.startswith("/memory/")
        if (method, path) in WRITES | {("POST", "/page/forget")} or (of_page and method == "POST"):
            assert answer.status_code == 403, (method, path)
        elif of_page:  # without the arguments that it needs
            assert answer.status_code in (200, 422), (method, path, answer.text)
        else:
            assert answer.status_code < 400, (method, path, answer.text)
    assert app.state.services.memory.checkpoint() == before


def test_a_user_key_needs_no_user_and_an_application_key_needs_one(
    app: FastAPI, client: TestClient, keys: Keys
) -> None:
    shop = {"Authorization": f"Bearer {keys.shop}"}
    ann = {"Authorization": f"Bearer {keys.ann}"}
    assert len(client.get("/memories", headers=ann).json()["results"]) == 1
    assert client.get("/memories", headers=shop).status_code == 400
    answer = client.get("/memories", headers=shop, params={"user_id": "shop:x"})
    assert [item["memory"] for item in answer.json()["results"]] == ["A secret of the shop."]
    assert client.get("/page/turns", headers=ann).json() == ["Ann's secret is blue."]
    assert routes(app)


def test_deleting_all_needs_the_user_by_name(client: TestClient, keys: Keys) -> None:
    answer = client.delete("/memories", headers={"Authorization": f"Bearer {keys.ann}"})
    assert answer.status_code == 422


def test_a_removed_key_is_refused_and_a_new_one_let_in_while_the_server_runs(
    client: TestClient, keys: Keys
) -> None:
    headers = {"Authorization": f"Bearer {keys.bob}"}
    assert client.get("/memories", headers=headers).status_code == 200
    bob = next(key for key in KeyFile(keys.path).read() if key.user == "bob")
    remove(keys.path, bob.id)
    assert client.get("/memories", headers=headers).status_code == 401
    new = add(keys.path, user="eve")[1]
    answer = client.get("/memories", headers={"Authorization": f"Bearer {new}"})
    assert answer.json()["results"] == []


def test_a_file_of_keys_has_no_secret_and_only_its_owner_reads_it(keys: Keys) -> None:
    content = keys.path.read_text()
    assert keys.ann not in content
    assert keys.ann.removeprefix("mk_") not in content
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    keys.path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        KeyFile(keys.path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"keys": [{}]}', '{"keys": [{"id": "a", "hash": "b"}]}', "\0"]
)
def test_a_damaged_file_of_keys_lets_nobody_in(content: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="no file of keys"):
        KeyFile(path)
    with pytest.raises(InvalidInput, match="no file of keys"):
        add(path, user="ann")
    assert path.read_text() == content


def test_if_the_file_of_keys_goes_nobody_is_let_in(client: TestClient, keys: Keys) -> None:
    keys.path.unlink()
    answer = client.get("/memories", headers={"Authorization": f"Bearer {keys.ann}"})
    assert answer.status_code == 503
    assert "keys.json" not in answer.text
    assert client.get("/memories").status_code == 401


def test_two_processes_do_not_change_keys_at_once(keys: Keys) -> None:
    keys.path.with_name("keys.json.new").touch()
    with pytest.raises(StoreReadOnly, match=r"keys\.json\.new"):
        add(keys.path, user="eve")


@pytest.mark.parametrize("whose", [{}, {"user": "ann", "prefix": "a"}, {"user": ""}])
def test_a_key_is_of_one_user_or_of_one_prefix(whose: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        add(tmp_path / "keys.json", **whose)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_other_machines_are_not_served_without_keys(host: str) -> None:
    with pytest.raises(InvalidInput, match="memkit keys add"):
        check_exposure(host, has_keys=False)
    check_exposure(host, has_keys=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_is_served_without_keys(host: str) -> None:
    check_exposure(host, has_keys=False)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "localhost:1", "Origin": "http://localhost:2"},
        {"Host": "["},
        {"Origin": "http://[x"},
    ],
)
def test_without_keys_a_web_page_gets_nothing(headers: dict[str, str]) -> None:
    app = create_app(open_memory(), settings=ServerSettings(user="ann"))
    with TestClient(app, base_url="http://127.0.0.1:8765") as client:
        assert client.get("/memories").status_code == 200
        for method, path in (("GET", "/memories"), ("POST", "/search"), ("GET", "/metrics")):
            answer = client.request(method, path, headers=headers, json={"query": "x"})
            assert answer.status_code == 403


def test_an_unknown_query_parameter_is_refused_by_every_route_and_changes_nothing(
    app: FastAPI, client: TestClient, keys: Keys
) -> None:
    before = app.state.services.memory.checkpoint()
    for method, path in closed(app):
        answer = client.request(
            method, path.replace(ID, "a1"), headers={"Authorization": f"Bearer {keys.ann}"},
            params={"session_id_": "s"} | ({"user_id": "ann"} if method == "DELETE" else {}),
            json=BODIES.get(path) if method in ("POST", "PUT") else None,
        )  # fmt: skip
        assert answer.status_code == 422, (method, path, answer.text)
        assert "unknown query parameter" in answer.text
    assert app.state.services.memory.checkpoint() == before


def test_searches_of_one_caller_that_block_keep_nobody_from_the_probes(keys: Keys) -> None:
    memory = open_memory()
    running, go = threading.Semaphore(0), threading.Event()

    def block(*_: object, **__: object) -> list[memkit.records.Hit]:
        running.release()
        go.wait(timeout=300)
        return []

    memory.recall = block  # type: ignore[method-assign]
    settings = ServerSettings()
    ann = {"Authorization": f"Bearer {keys.ann}"}
    app = create_app(memory, Model(), keys=KeyFile(keys.path), settings=settings)
    with TestClient(app, headers=ann) as client:
        search = {"args": ("/search",), "kwargs": {"json": {"query": "x"}}}
        threads = [
            threading.Thread(target=client.post, **search) for _ in range(settings.max_running)
        ]
        try:
            for thread in threads:
                thread.start()
            assert all(running.acquire(timeout=20) for _ in threads)
            assert client.get("/readyz").status_code == 200
            answer = client.get("/memories", headers={"Authorization": f"Bearer {keys.bob}"})
            assert answer.status_code == 200
        finally:
            go.set()
            for thread in threads:
                thread.join(timeout=60)


def test_one_key_cannot_take_all_the_room(keys: Keys) -> None:
    memory = open_memory()
    started, go = threading.Event(), threading.Event()
    users = memory.summaries

    def slow(*, user_id: str) -> list[memkit.records.Summary]:
        if user_id == "ann":
            started.set()
            go.wait(timeout=30)
        return users(user_id=user_id)

    memory.summaries = slow  # type: ignore[method-assign]
    app = create_app(memory, keys=KeyFile(keys.path), settings=ServerSettings(max_running=1))
    ann, bob = ({"Authorization": f"Bearer {key}"} for key in (keys.ann, keys.bob))
    with TestClient(app) as client:
        thread = threading.Thread(target=client.get, args=("/summary",), kwargs={"headers": ann})
        thread.start()
        started.wait(timeout=30)
        refused = client.get("/memories", headers=ann)
        assert client.get("/memories", headers=bob).status_code == 200
        go.set()
        thread.join()
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert client.get("/memories", headers=ann).status_code == 200


def test_no_metric_names_a_user(client: TestClient, keys: Keys) -> None:
    headers = {"Authorization": f"Bearer {keys.ann}"}
    client.get("/memories/a1", headers=headers)
    client.get("/nowhere/ann", headers=headers)
    text = client.get("/metrics", headers=headers).text
    assert 'route="/memories/{memory_id:anything}"' in text
    assert "ann" not in text.replace("channel", "")
    assert "a1" not in re.sub(r"[\d.e+-]+\n", "\n", text)
