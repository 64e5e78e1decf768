"""Run all tasks of a card once: in parallel, and after an interruption only the missing ones.

The records of a task are written to one file, which appears whole or not at all. The folder depends
on config, data, code and weights, so records of another version are never reused.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter

from evals import ROOT
from evals.card import answering, task
from evals.card.ask import Evaluator
from evals.card.config import Config, Run, fingerprint, settings_of_records
from evals.card.records import NotRun, Record
from evals.card.task import Task
from evals.data import registry as data
from evals.data.haystack import DataSet, Haystack
from evals.systems.baselines import pieces
from evals.systems.cache import CachedEmbedder, default_folder
from evals.systems.protocol import NotSupported
from evals.systems.registry import load_system
from memkit.errors import InvalidInput, MissingExtra
from memkit.protocols import Embedder

_CODE = ("memkit", "stores", "evals")
_Output = tuple[Path, str]  # a task's file and its content
_PACKAGES = {"mem0": "mem0ai", "LangChain": "langchain-core"}  # of third-party systems

Watch = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The content of a task's file."""

    records: Sequence[Record]
    not_run: Sequence[NotRun] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(TaskResult):
    """The results of all tasks."""

    data: Sequence[DataSet]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    task: Task
    config: Config
    cache: Path
    file: Path
    questions: int


def run(config: Config, options: Run, watch: Watch = lambda *_: None) -> Results:
    """Run every missing task, and return the records of all.

    Raises:
        InvalidInput: a data set or a system of the config does not exist or cannot be read.
    """
    sets = [data.read(spec) for spec in config.data]
    missing = _missing(config)
    jobs = _plan(config, options, sets, left_out={reason.what for reason in missing})
    pending = [job for job in jobs if not job.file.exists()]
    if pending:  # embed all turns and questions in advance, so that no search includes it
        inner = embedder(config.embedder)
        haystacks = chain(*(data_set.haystacks for data_set in sets))
        all_texts = chain(*(texts(haystack, inner) for haystack in haystacks))
        with CachedEmbedder(inner, jobs[0].cache) as cached:
            cached.prepare(all_texts, partial(watch, "embedding"))
    questions = {job.file: job.questions for job in jobs}
    total = sum(questions.values())
    done = total - sum(job.questions for job in pending)
    watch("questions", done, total)
    with _pool(options) as map_jobs:
        for file, text in map_jobs(work, pending):
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_text(text)
            part.replace(file)
            done += questions[file]
            watch("questions", done, total)
    task_result = TypeAdapter(TaskResult)
    results = [task_result.validate_json(job.file.read_bytes()) for job in jobs]
    reasons = chain(missing, *(result.not_run for result in results))
    return Results(
        records=list(chain(*(result.records for result in results))),
        not_run=list(dict.fromkeys(reasons)),
        data=sets,
    )


def _plan(
    config: Config, options: Run, sets: Sequence[DataSet], left_out: Collection[str]
) -> list[_Job]:
    folder = _work_folder(config, options, sets)
    tasks = [
        (Task(data=spec.name, haystack=haystack.name, regime=regime, system=system), haystack)
        for spec, data_set in zip(config.data, sets, strict=True)
        for regime in config.regimes
        for system in config.systems_of(regime)
        if system not in left_out
        for haystack in data_set.haystacks
    ]
    return [
        _Job(
            task=task, config=config, cache=options.cache or default_folder(),
            file=folder / f"{fingerprint(asdict(task))}.json", questions=len(haystack.questions),
        )
        for task, haystack in tasks
    ]  # fmt: skip


def _missing(config: Config) -> list[NotRun]:
    missing = []
    for name in dict.fromkeys(chain(*map(config.systems_of, config.regimes))):
        try:
            load_system(name)(embedder(config.embedder)).close()
        except MissingExtra as error:
            missing.append(NotRun(what=name, data="all", why=str(error)))
    return missing


# ---- the identity of a run


def _work_folder(config: Config, options: Run, sets: Sequence[DataSet]) -> Path:
    # notes contain the hashes of further files
    hashes = [(data_set.sha256, data_set.notes) for data_set in sets]
    name = fingerprint(settings_of_records(config), hashes, code(), _foreign_code(config))
    folder = options.folder / "work" / name
    try:
        if options.fresh and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be written: {error.strerror}; name another --out"
        ) from error
    return folder


@lru_cache(maxsize=1)
def code() -> str:
    """Return the hash of the program's code: records of other code are not reused."""
    digest = hashlib.sha256(answering.PROMPT_SHA256.encode())
    for package in _CODE:
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()


def _foreign_code(config: Config) -> list[object]:
    """Return versions of third-party code and models; a module or package by its hash."""
    models = [config.embedder, *(spec.name for spec in (config.model, config.judge) if spec)]
    versions: list[object] = [
        _model_files(Path(name)) if name and Path(name).exists() else name for name in models
    ]
    for system in config.systems:
        if system in _PACKAGES:
            packages = metadata.distributions(name=_PACKAGES[system])
            versions.append((system, [package.version for package in packages]))
        elif ":" in system:
            versions.append((system, _module_hash(system.partition(":")[0])))
    return versions


def _model_files(folder: Path) -> list[object]:
    """Return the path of a model, and size and time of its files: hashing weights takes long."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    states = ((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    return [str(folder.resolve()), *states]


def _module_hash(module: str) -> str:
    name = getattr(sys.modules[module], "__file__", None)  # `_missing` has imported it
    if name is None:  # a class from a notebook, which may have changed: never reuse its records
        return uuid4().hex
    path = Path(name)
    files = sorted(path.parent.rglob("*.py")) if "." in module else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def texts(haystack: Haystack, inner: Embedder) -> Iterator[str]:
    """Yield every text that is embedded for a conversation and its questions."""
    for turn in haystack.turns:
        yield from pieces(turn, inner)
    for question in haystack.questions:
        yield question.text


# ---- in any process


def work(job: _Job) -> _Output:
    """Run one task; return its file and the content."""
    try:
        return job.file, json.dumps(asdict(_run_task(job)), ensure_ascii=False)
    except Exception as error:
        error.add_note(f"while measuring {job.task.name}")
        raise


def _run_task(job: _Job) -> TaskResult:
    config, task_ = job.config, job.task
    spec = next(spec for spec in config.data if spec.name == task_.data)
    haystacks, model, judge = _read(spec).haystacks, config.model, config.judge
    haystack = next(haystack for haystack in haystacks if haystack.name == task_.haystack)
    with CachedEmbedder(embedder(config.embedder), job.cache) as cached:
        evaluator = Evaluator(
            config=config,
            judge=None if judge is None else answering.load(judge),
            count=cached.count,
            uncached=cached.bypass,
            model=None if model is None else answering.load(model),
            answered=task.sample(haystacks, model.questions if model else 0, config.seed),
            probed=task.sample(haystacks, config.probes, config.seed),
        )
        try:
            system = load_system(task_.system)(cached)
            return TaskResult(records=evaluator.run(task_, haystack, system))
        except NotSupported as error:
            label = f"{task_.system}, {task_.regime}"
            reason = NotRun(what=label, data=spec.name, why=str(error))
            return TaskResult(records=[], not_run=[reason])


_read = lru_cache(maxsize=None)(data.read)


@lru_cache(maxsize=1)
def embedder(name: str) -> Embedder:
    """Return the embedder that a config names."""
    if name == "hash":
        from memkit.testing import HashEmbedder

        return HashEmbedder(256)
    from memkit.embedders import resolve_embedder

    return resolve_embedder(None if name == "minilm" else name)


# ---- processes

_Map = Callable[[Callable[[_Job], _Output], Sequence[_Job]], Iterator[_Output]]


@contextmanager
def _pool(options: Run) -> Iterator[_Map]:
    if options.ray is not None:
        with _ray(options) as pool:
            yield pool.imap_unordered
    elif options.processes == 1:
        yield map
    else:
        context = multiprocessing.get_context("spawn")  # torch does not survive a fork
        with context.Pool(options.processes, initializer=_start_worker) as pool:
            yield pool.imap_unordered


def _start_worker() -> None:
    """Use one core, and exit when the parent is killed: the pool would wait for it forever."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch, which is not loaded yet, and by FAISS

    def wait() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _ray(options: Run) -> Any:
    try:
        from ray.util.multiprocessing import Pool
    except ModuleNotFoundError as error:
        raise MissingExtra("a Ray cluster needs ray: pip install 'memkit-llm[ray]'") from error
    here = str(Path.cwd())  # paths of data and models are relative to it
    try:
        return Pool(
            options.processes, initializer=os.chdir, initargs=(here,), ray_address=options.ray
        )
    except (ValueError, ConnectionError) as error:
        raise InvalidInput(f"Ray at {options.ray!r} cannot be used: {error}") from error
