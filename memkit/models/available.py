"""The chat model of the command line: the one that is named, a local server's, or the bundled one.

Only addresses of this machine (loopback) are asked which models they have. A server elsewhere gets
messages only if it is named, and a model that was found says where messages go before the first.
"""

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from memkit.errors import InvalidInput, MissingExtra
from memkit.protocols import Model

if TYPE_CHECKING:
    from openai import OpenAI

BUNDLED = "smollm2"
_OLLAMA = "http://127.0.0.1:11434"
# with the default text the bundled model invents replies and repeats them; what it writes after a
# first line, or at length, is noise
_BUNDLED_SYSTEM = "Answer from the quotes of earlier conversations, in one short sentence."
_PROBE_S = 0.5  # a server on this machine answers within milliseconds
_MAX_ANSWER = 1_000_000  # bytes
_BETTER = "--model takes a folder, a Hugging Face id, ollama:NAME or openai:NAME"
_SENT = "Your messages, and what memkit recalls for them, are sent there."


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatModel:
    """A chat model, its name for `choose_model`, and what people should know about it."""

    model: Model
    name: str
    description: str
    system: str | None = None  # a system text that suits it better than the default of Chat
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()  # strings that end a reply


def choose_model(name: str | None = None) -> ChatModel:
    """Return the named chat model, or the best that this machine has.

    Names are "smollm2" (the bundled model), "ollama:NAME", "openai:NAME" (at OPENAI_BASE_URL), or
    a folder or Hugging Face id. Without a name the first of these is taken: a server at
    OPENAI_BASE_URL if that is on this machine, Ollama on this machine, the bundled model.

    Raises:
        InvalidInput: OLLAMA_HOST or OPENAI_BASE_URL is no address.
        ModelError: there is no such model.
        MissingExtra: a package for this kind of model is not installed.
    """
    kind, _, rest = (name or "").partition(":")
    if not name:
        return _find_served_model() or _bundled(_hint())
    if kind == "ollama" and rest:
        return _from_ollama(rest)
    if kind == "openai" and rest:
        return _from_openai(rest)
    return _bundled() if name == BUNDLED else _local(name)


# ---- models in this process


def _bundled(hint: str = "") -> ChatModel:
    from memkit.models import bundled
    from memkit.models.resolve import resolve_model

    return ChatModel(
        model=resolve_model(*bundled.smollm2()),
        name=BUNDLED,
        system=_BUNDLED_SYSTEM,
        max_new_tokens=60,
        stop=("\n",),
        description=(
            f"{bundled.NAME}, the bundled model, in this process. It is very small: it often "
            "answers wrongly, even with the right quote in front of it. What memory found is shown "
            f"beside its replies. For better ones, {_BETTER}.{hint}"
        ),
    )


def _hint() -> str:
    """Return what would make a better model available, if something is nearly there."""
    if find_spec("openai") is None and _ollama_models():
        return " Ollama runs here; to use it: pip install 'memkit-llm[openai]'."
    if os.environ.get("OPENAI_BASE_URL") and not _is_loopback(_base_url()):
        return " OPENAI_BASE_URL is not on this machine, so it is used only with openai:NAME."
    return ""


def _local(name: str) -> ChatModel:
    from memkit.models import huggingface

    model = huggingface.HuggingFaceModel(*huggingface.load(name))
    return ChatModel(model=model, name=name, description=f"{name}, in this process.")


# ---- servers


def _find_served_model() -> ChatModel | None:
    """Return a model of a server on this machine, or None."""
    if find_spec("openai") is None:
        return None
    url = _base_url()
    if os.environ.get("OPENAI_BASE_URL") and _is_loopback(url):
        answer = _get_json(url, f"{url.path.rstrip('/')}/models")
        names = [str(model["id"]) for model in _list_of(answer, "data") if model.get("id")]
        if names:
            return _from_openai(names[0])
    models = _ollama_models()
    return _from_ollama(models[0]) if models else None


def _from_ollama(name: str) -> ChatModel:
    url = _ollama_url()
    where = "on this machine" if _is_loopback(url) else "NOT on this machine"
    if name.endswith("cloud"):
        where += ", which passes this model's messages on to ollama.com"
    address = f"{url.scheme}://{url.netloc}"
    return ChatModel(
        model=_serve(name, f"{address}/v1", url),
        name=f"ollama:{name}",
        description=f"{name}, from Ollama at {address}, {where}. {_SENT}",
    )


def _from_openai(name: str) -> ChatModel:
    url = _base_url()
    where = "on this machine" if _is_loopback(url) else "NOT on this machine"
    address = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()  # without a password
    return ChatModel(
        model=_serve(name, url.geturl(), url, api_key=os.environ.get("OPENAI_API_KEY")),
        name=f"openai:{name}",
        description=f"{name}, from the server at {address}, {where}. {_SENT}",
    )


def _serve(name: str, base_url: str, url: SplitResult, api_key: str | None = None) -> Model:
    from memkit.models.openai import OpenAIModel

    try:
        import openai
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{name!r} is served by a program that needs the client openai: "
            "pip install 'memkit-llm[openai]'"
        ) from error
    if not _is_loopback(url):
        return OpenAIModel(name, base_url=base_url, api_key=api_key)
    client: OpenAI = openai.OpenAI(
        base_url=base_url,
        api_key=api_key or "not-needed",
        # a proxy of the environment must not see what is for this machine
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )
    client.organization = client.project = None
    return OpenAIModel(name, client=client)


def _ollama_models() -> list[str]:
    """Return the chat models of Ollama on this machine, the one used last first."""
    url = _ollama_url()
    models = _list_of(_get_json(url, "/api/tags"), "models")
    return [str(model["name"]) for model in models if _is_local_chat_model(model)]


def _is_local_chat_model(model: Mapping[str, Any]) -> bool:
    """Return whether Ollama runs a model itself, and it is not an embedder."""
    name, details = str(model.get("name") or ""), model.get("details")
    families = str(details.get("families")) if isinstance(details, Mapping) else ""
    is_remote = bool(model.get("remote_host")) or name.endswith("cloud")
    return bool(name) and not is_remote and "embed" not in name and "bert" not in families


def _list_of(answer: object, key: str) -> list[Mapping[str, Any]]:
    items = answer.get(key) if isinstance(answer, Mapping) else None
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


# ---- addresses


def _base_url() -> SplitResult:
    return _split_url(
        os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1", "OPENAI_BASE_URL"
    )


def _ollama_url() -> SplitResult:
    """Return Ollama's address; OLLAMA_HOST may have no port, or be "0.0.0.0" (all interfaces)."""
    host = os.environ.get("OLLAMA_HOST") or _OLLAMA
    url = _split_url(host if "://" in host else f"http://{host}", "OLLAMA_HOST")
    if url.hostname == "0.0.0.0":
        url = url._replace(netloc=url.netloc.replace("0.0.0.0", "127.0.0.1"))
    return url if url.port else url._replace(netloc=f"{url.netloc}:11434")


def _split_url(text: str, variable: str) -> SplitResult:
    try:
        url = urlsplit(text)
        is_address = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number
        is_address = False
    if not is_address:
        raise InvalidInput(f'{variable} must be an address such as "http://127.0.0.1:8000/v1"')
    return url


def _is_loopback(url: SplitResult) -> bool:
    host = url.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may mean any machine
        return False


def _get_json(url: SplitResult, path: str) -> object:
    """Return the answer of a server on this machine, or None; no proxy and no redirect is used."""
    if not _is_loopback(url) or url.scheme != "http":
        return None
    connection = HTTPConnection(url.hostname or "", url.port or 80, timeout=_PROBE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return json.loads(response.read(_MAX_ANSWER)) if response.status == 200 else None
    except (OSError, HTTPException, ValueError):  # nobody there, or another program
        return None
    finally:
        connection.close()
