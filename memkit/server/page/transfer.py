"""Import of an uploaded file, and export as a download."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from memkit import importers
from memkit.errors import InvalidInput
from memkit.govern.portability import is_encrypted, is_export
from memkit.memory import Memory
from memkit.server.page.views import Json

MOST_BYTES = 512 << 20  # of an upload
_BLOCK = 1 << 16
_MOST_PROBLEMS = 200  # sentences of a report


async def import_body(memory: Memory, user_id: str, request: Request, name: str) -> Json:
    """Store the body of a request in a temporary file, and import it; return a report.

    Raises:
        HTTPException: 413, the body is larger than `MOST_BYTES`.
        InvalidInput: it is no file that memkit reads.
    """
    with tempfile.TemporaryDirectory(prefix="memkit-") as folder:
        path = Path(folder) / "upload"
        with path.open("wb") as file:
            async for block in request.stream():
                if file.tell() + len(block) > MOST_BYTES:
                    megabytes = MOST_BYTES >> 20
                    raise HTTPException(
                        413, f"the file is larger than {megabytes} MB; use `memkit import` for it"
                    )
                file.write(block)
        try:
            report = await run_in_threadpool(_import, memory, user_id, path)
        except InvalidInput as error:
            raise InvalidInput(str(error).replace(str(path), name)) from error
    problems = [text.replace(str(path), name) for text in report.pop("problems")]
    failed = report.get("failed", len(problems))
    return report | {"name": name, "problems": problems[:_MOST_PROBLEMS], "failed": failed}


def _import(memory: Memory, user_id: str, path: Path) -> Json:
    if is_encrypted(path):
        raise InvalidInput("the export is encrypted; read it with `memkit import`")
    if is_export(path):
        return {"format": "export", **asdict(memory.import_(path, user_id=user_id))}
    source = importers.read_file(path, importers.ReadOptions(user_id=user_id))
    counts = importers.import_turns(
        memory, source, user_id=user_id, progress=lambda _done, _total: None
    )
    return {"format": source.format, **asdict(counts)}


def export_response(memory: Memory, user_id: str) -> Response:
    """Return the export of one user as a download."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is sent
    memory.export(file, user_id=user_id)
    file.seek(0)
    headers = {"Content-Disposition": 'attachment; filename="memory.jsonl"'}
    return StreamingResponse(_blocks(file), media_type="application/jsonl", headers=headers)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block
