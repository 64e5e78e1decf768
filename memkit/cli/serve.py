"""serve, keys: commands of the server."""

from pathlib import Path
from typing import Annotated

import typer

from memkit.cli import output
from memkit.cli.options import AsJson, Embedder, Privacy, disable_progress_bars, open_memory
from memkit.errors import MissingExtra

keys = typer.Typer(name="keys", help="Keys of the server: add, list, remove.", no_args_is_help=True)
KeysPath = Annotated[
    Path, typer.Option("--keys", help="The file of keys; only its owner may read it.")
]
DEFAULT_KEYS = Path("memkit-keys.json")


def serve(
    store: Annotated[
        str, typer.Argument(metavar="FILE", help="The memory, created if there is none.")
    ] = "memkit.db",
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible endpoint such as http://127.0.0.1:8000/v1, a folder, a "
            "Hugging Face id, or smollm2. Without it only the memory is served."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8765,
    keys: Annotated[
        Path | None,
        typer.Option(help="A file of `memkit keys add`. Without it: this machine only, no keys."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Whose memory requests without a user mean; no keys.")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Most bytes of a request.")] = 4_000_000,
    max_running: Annotated[int, typer.Option(min=1, help="Most requests of a key at once.")] = 64,
    shutdown: Annotated[
        float, typer.Option(min=0, help="Seconds that running replies get when it stops.")
    ] = 30.0,
    telemetry: Annotated[
        bool, typer.Option("--otel", help="Send traces of requests by OpenTelemetry.")
    ] = False,
    privacy: Privacy = "flag",
    embedder: Embedder = None,
) -> None:
    """Serve OpenAI's API with a memory, and REST for the memory."""
    try:
        from memkit.server import run
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the server needs {error.name}: pip install 'memkit-llm[server]'"
        ) from error
    from memkit.server.keys import KeyFile
    from memkit.server.settings import ServerSettings, check_exposure

    disable_progress_bars(embedder, model)
    check_exposure(host, has_keys=keys is not None)
    key_file = None if keys is None else KeyFile(keys)
    settings = ServerSettings(
        user=user, max_body_bytes=max_body, max_running=max_running, shutdown_s=shutdown
    )
    with output.spinner("loading the model"):
        backend = run.make_backend(model, has_keys=key_file is not None, silence_s=settings.model_s)
    with open_memory(store, embedder, create=True, background=True, privacy=privacy) as memory:
        output.print_note(f"memkit: http://{host}:{port}/v1, API described at /openapi.json")
        run.serve(
            memory, backend, host=host, port=port, keys=key_file, settings=settings,
            telemetry=telemetry,
        )  # fmt: skip


@keys.command("add")
def add_key(
    path: KeysPath = DEFAULT_KEYS,
    *,
    user: Annotated[str | None, typer.Option(help="The user whose memory it opens.")] = None,
    prefix: Annotated[
        str | None,
        typer.Option(help="For an application: it names users that begin with this."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="It changes nothing.")] = False,
    json_: AsJson = False,
) -> None:
    """Make a key and print it, once: the file has only its hash."""
    from memkit.server.keys import add

    key, secret = add(path, user=user, prefix=prefix, read_only=read_only)
    output.print_note(f"key {key.id} is in {path}; this is the only time that it is shown:")
    output.print_result({"id": key.id, "key": secret}, secret, as_json=json_)


@keys.command("list")
def list_keys(path: KeysPath = DEFAULT_KEYS, json_: AsJson = False) -> None:
    """List the keys, without their secrets."""
    from memkit.server.keys import KeyFile

    for key in KeyFile(path).read():
        whose = f"user {key.user}" if key.user is not None else f"users {key.prefix}*"
        may = "reads" if key.read_only else "reads and writes"
        data = {
            "id": key.id, "user": key.user, "prefix": key.prefix, "read_only": key.read_only,
            "created_at": key.created_at,
        }  # fmt: skip
        output.print_result(data, f"{key.id}  {whose}  {may}  {key.created_at}", as_json=json_)


@keys.command("remove")
def remove_key(
    key_id: Annotated[str, typer.Argument(metavar="ID")],
    path: KeysPath = DEFAULT_KEYS,
    json_: AsJson = False,
) -> None:
    """Remove a key; servers that run refuse it from now on."""
    from memkit.server.keys import remove

    remove(path, key_id)
    output.print_result({"removed": key_id}, f"removed key {key_id}", as_json=json_)
