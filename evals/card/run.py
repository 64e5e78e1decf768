"""All units of a card, done once: in parallel, and after an interruption only what is missing.

A unit's records are written to a file of its own, which appears whole or not at all. Files of
another config, other data, other code or other weights are in another folder, so nothing stale is
taken up.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import uuid4

from evals import ROOT
from evals.card import answering, task
from evals.card.ask import Evaluator
from evals.card.config import Config, Run, fingerprint, measured
from evals.card.records import NotRun, Record
from evals.card.task import Task
from evals.data import registry as data
from evals.data.haystack import DataSet
from evals.retrieval.run import Watch, nobody, texts
from evals.systems.cache import CachedEmbedder, default_folder
from evals.systems.registry import NotSupported, load_system
from memkit.errors import InvalidInput, MissingExtra
from memkit.protocols import Embedder

_CODE = ("memkit", "stores", "evals")
_Result = tuple[Path, str]  # a unit's file, and what to write there
_PACKAGES = {"mem0": "mem0ai", "LangChain": "langchain-core"}  # of systems that are not ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What all units made."""

    records: Sequence[Record]
    not_run: Sequence[NotRun]
    data: Sequence[DataSet]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a unit's file holds."""

    records: tuple[Record, ...]
    not_run: tuple[NotRun, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A unit, and what a process needs to do it."""

    task: Task
    config: Config
    cache: Path
    file: Path


def run(config: Config, how: Run, watch: Watch = nobody) -> Done:
    """Do every unit that is not done yet, and return the records of all.

    Raises:
        InvalidInput: a data set or a system cannot be had as the config says.
    """
    sets = [data.read(spec) for spec in config.data]
    missing = _missing(config)
    tasks = plan(config, sets, left_out={one.what for one in missing})
    folder = _work_folder(config, how, sets)
    cache = how.cache or default_folder()
    jobs = [
        _Job(task=one, config=config, cache=cache, file=folder / f"{fingerprint(asdict(one))}.json")
        for one in tasks
    ]
    todo = [job for job in jobs if not job.file.exists()]
    if todo:
        _prepare(config, sets, cache, watch)
    weight = {job.file: _weight(job, sets) for job in jobs}
    total = done = sum(weight.values())
    done -= sum(weight[job.file] for job in todo)
    watch("questions", done, total)
    with _pool(how) as each:
        for file, text in each(work, todo):
            _write(file, text)
            done += weight[file]
            watch("questions", done, total)
    kept = [_kept().validate_json(job.file.read_bytes()) for job in jobs]
    return Done(
        records=[record for one in kept for record in one.records],
        not_run=[*missing, *_told(why for one in kept for why in one.not_run)],
        data=sets,
    )


def _write(file: Path, text: str) -> None:
    partial = file.with_suffix(f".{os.getpid()}.part")
    partial.write_text(text)
    partial.replace(file)


def plan(config: Config, sets: Sequence[DataSet], *, left_out: Collection[str] = ()) -> list[Task]:
    """Return all units, in the order of the card."""
    return [
        Task(data=spec.name, haystack=haystack.name, regime=regime, system=system)
        for spec, one in zip(config.data, sets, strict=True)
        for regime in config.regimes
        for system in config.systems_of(regime)
        if system not in left_out
        for haystack in one.haystacks
    ]


def _missing(config: Config) -> list[NotRun]:
    """Return the systems whose extra is not installed; the others run without them."""
    found = []
    for regime in config.regimes:
        for name in config.systems_of(regime):
            try:
                load_system(name)(embedder(config.embedder)).close()
            except MissingExtra as error:
                found.append(NotRun(what=name, data="all", why=str(error)))
    return _told(found)


def _told(reasons: Iterable[NotRun]) -> list[NotRun]:
    return list(dict.fromkeys(reasons))


@lru_cache(maxsize=1)
def _kept() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Kept)


def _weight(job: _Job, sets: Sequence[DataSet]) -> int:
    names = [spec.name for spec in job.config.data]
    one = sets[names.index(job.task.data)]
    return next(len(h.questions) for h in one.haystacks if h.name == job.task.haystack)


def _work_folder(config: Config, how: Run, sets: Sequence[DataSet]) -> Path:
    read = [(one.sha256, one.notes) for one in sets]  # notes have the hashes of further files
    folder = how.folder / "work" / fingerprint(measured(config), read, code(), _outside(config))
    try:
        if how.fresh and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be written: {error.strerror}; name another --out"
        ) from error
    return folder


@lru_cache(maxsize=1)
def code() -> str:
    """Return the hash of all of the program: records of other code are not taken up."""
    digest = hashlib.sha256(answering.PROMPT_SHA256.encode())
    for package in _CODE:
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()


def _outside(config: Config) -> list[object]:
    """Return what else records follow from: others' code, and the files of local models.

    Of a memory by its import path that is its module, in a package all modules beside it.
    """
    named = [config.embedder, *(one.name for one in (config.model, config.judge) if one)]
    found: list[object] = [
        _files(Path(one)) if one and Path(one).exists() else one for one in named
    ]
    for system in config.systems:
        if system in _PACKAGES:
            found.append((system, _version(_PACKAGES[system])))
        elif ":" in system:
            found.append((system, _module_hash(system.partition(":")[0])))
    return found


def _files(model: Path) -> list[object]:
    """Return where a model lies, and the size and age of its files: weights are long to hash."""
    files = (one for one in sorted(model.rglob("*")) if one.is_file())
    told = ((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files)
    return [str(model.resolve()), *told]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _module_hash(module: str) -> str:
    name = getattr(sys.modules[module], "__file__", None)  # imported before, to see if it is there
    if name is None:  # typed into a notebook: nothing says that it is still the same
        return uuid4().hex
    file = Path(name)
    files = sorted(file.parent.rglob("*.py")) if "." in module else [file]
    return hashlib.sha256(b"".join(one.read_bytes() for one in files)).hexdigest()


def _prepare(config: Config, sets: Sequence[DataSet], cache: Path, watch: Watch) -> None:
    """Embed all that is said and asked, so that no search pays for it."""
    inner = embedder(config.embedder)
    with CachedEmbedder(inner, cache) as cached:
        cached.prepare(
            (text for one in sets for haystack in one.haystacks for text in texts(haystack, inner)),
            lambda done, total: watch("embedding", done, total),
        )


# ---- in whatever process


def work(job: _Job) -> _Result:
    """Do one unit; return its file and what to write there."""
    try:
        return job.file, json.dumps(asdict(_do(job)), ensure_ascii=False)
    except Exception as error:
        error.add_note(f"while measuring {job.task.name}")
        raise


def _do(job: _Job) -> Kept:
    spec = next(one for one in job.config.data if one.name == job.task.data)
    read = _read(spec)
    haystack = next(one for one in read.haystacks if one.name == job.task.haystack)
    chosen = job.config.model
    judge = job.config.judge
    with CachedEmbedder(embedder(job.config.embedder), job.cache) as cached:
        asker = Evaluator(
            config=job.config,
            judge=None if judge is None else answering.load(judge),
            count=cached.count,
            anew=cached.anew,
            model=None if chosen is None else answering.load(chosen),
            answered=task.sample(
                read.haystacks, chosen.questions if chosen else 0, job.config.seed
            ),
            probed=task.sample(read.haystacks, job.config.probes, job.config.seed),
        )
        system = load_system(job.task.system)(cached)
        try:
            return Kept(records=tuple(task.run(job.task, job.config, haystack, system, asker)))
        except NotSupported as error:
            what = f"{job.task.system}, {job.task.regime}"
            return Kept(records=(), not_run=(NotRun(what=what, data=spec.name, why=str(error)),))


_read = lru_cache(maxsize=None)(data.read)


@lru_cache(maxsize=1)
def embedder(name: str) -> Embedder:
    """Return the embedder that a config names."""
    if name == "hash":
        from memkit.testing import HashEmbedder

        return HashEmbedder(256)
    from memkit.embedders import MiniLM, SentenceTransformerEmbedder

    return MiniLM() if name == "minilm" else SentenceTransformerEmbedder(name)


# ---- processes

_Each = Callable[[Callable[[_Job], _Result], Sequence[_Job]], Iterator[_Result]]


@contextmanager
def _pool(how: Run) -> Iterator[_Each]:
    """Yield what does jobs, here, in processes, or on a Ray cluster, in whatever order."""
    if how.ray is not None:
        with _ray(how) as pool:
            yield pool.imap_unordered
    elif how.processes == 1:
        yield map
    else:
        context = multiprocessing.get_context("spawn")  # torch does not survive a fork
        with context.Pool(how.processes, initializer=_start_worker) as pool:
            yield pool.imap_unordered


def _start_worker() -> None:
    """Keep to one core, and end when the run is killed: it would wait for work for ever."""
    os.environ["OMP_NUM_THREADS"] = "1"  # torch, which is not loaded yet, and FAISS read it

    def wait() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _ray(how: Run) -> Any:
    try:
        from ray.util.multiprocessing import Pool
    except ModuleNotFoundError as error:
        raise MissingExtra("a Ray cluster needs ray: pip install 'memkit-llm[ray]'") from error
    here = str(Path.cwd())  # from where the paths of data and models are told
    try:
        return Pool(how.processes, initializer=os.chdir, initargs=(here,), ray_address=how.ray)
    except (ValueError, ConnectionError) as error:
        raise InvalidInput(f"Ray at {how.ray!r} cannot be used: {error}") from error
