"""Vector stores as memories: Chroma, LanceDB, sqlite-vec and txtai, each on disk as it documents.

Each gets the vectors of memkit's embedder, one per turn, and searches the turns of one user. An
adapter imports its package when it is made: `pip install chromadb lancedb sqlite-vec apsw txtai`.
"""
# ruff: noqa: D102  # the methods are documented in `ThirdPartyMemory`

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evals import USER
from evals.systems.adapter import content
from memkit import Turn
from memkit.protocols import Embedder, Vectors

_FOLDER_PREFIX = "memkit-evals-"


class Chroma:
    """A persistent collection with its default index, HNSW, by cosine."""

    def __init__(self, embedder: Embedder) -> None:
        import chromadb

        self._embedder = embedder
        self._folder = TemporaryDirectory(prefix=_FOLDER_PREFIX)
        settings = chromadb.Settings(anonymized_telemetry=False)
        self._client: Any = chromadb.PersistentClient(self._folder.name, settings)
        self._collection: Any = self._client.create_collection(
            "turns", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )

    def remember(self, turns: Sequence[Turn]) -> None:
        texts = [content(turn) for turn in turns]
        self._collection.add(
            ids=[turn.id for turn in turns],
            documents=texts,
            embeddings=self._embedder.embed(texts),
            metadatas=[{"user": USER}] * len(turns),
        )

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        result = self._collection.query(
            query_embeddings=self._embedder.embed([text]), n_results=k, where={"user": USER}
        )
        return [
            (turn_id, -distance)
            for turn_id, distance in zip(result["ids"][0], result["distances"][0], strict=True)
        ]

    def close(self) -> None:
        self._client.close()
        self._folder.cleanup()


class LanceDB:
    """A table without an index, as LanceDB advises below 100,000 rows: an exact search."""

    def __init__(self, embedder: Embedder) -> None:
        import lancedb

        self._embedder = embedder
        self._folder = TemporaryDirectory(prefix=_FOLDER_PREFIX)
        self._db: Any = lancedb.connect(self._folder.name)
        self._table: Any = None

    def remember(self, turns: Sequence[Turn]) -> None:
        texts = [content(turn) for turn in turns]
        rows = [
            {"id": turn.id, "user": USER, "text": text, "vector": vector}
            for turn, text, vector in zip(turns, texts, self._embedder.embed(texts), strict=True)
        ]
        if self._table is None:
            self._table = self._db.create_table("turns", rows)
        else:
            self._table.add(rows)

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        search = self._table.search(self._embedder.embed([text])[0]).distance_type("cosine")
        rows = search.where(f"user = '{USER}'", prefilter=True).limit(k).to_list()
        return [(row["id"], -row["_distance"]) for row in rows]

    def close(self) -> None:
        self._table = None
        self._folder.cleanup()


class SqliteVec:
    """A table `vec0` with the user as its partition, in a file with a write-ahead log.

    apsw opens the file, because Python's own sqlite3 is often built without loading extensions.
    """

    def __init__(self, embedder: Embedder) -> None:
        import apsw
        import sqlite_vec

        self._embedder = embedder
        self._folder = TemporaryDirectory(prefix=_FOLDER_PREFIX)
        self._db: Any = apsw.Connection(str(Path(self._folder.name, "turns.db")))
        self._db.execute("pragma journal_mode = wal")
        self._db.enable_load_extension(True)
        sqlite_vec.load(self._db)
        self._db.execute(
            "create virtual table turns using vec0(user text partition key, id text primary key, "
            f"vector float[{embedder.fingerprint.dimension}] distance_metric=cosine, +words text)"
        )

    def remember(self, turns: Sequence[Turn]) -> None:
        texts = [content(turn) for turn in turns]
        vectors = self._embedder.embed(texts)
        rows = [
            (USER, turn.id, vector.tobytes(), text)
            for turn, text, vector in zip(turns, texts, vectors, strict=True)
        ]
        with self._db:
            self._db.executemany(
                "insert into turns(user, id, vector, words) values (?, ?, ?, ?)", rows
            )

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        rows = self._db.execute(
            "select id, distance from turns where user = ? and vector match ? and k = ?",
            (USER, self._embedder.embed([text]).tobytes(), k),
        )
        return [(turn_id, -distance) for turn_id, distance in rows]

    def close(self) -> None:
        self._db.close()
        self._folder.cleanup()


class Txtai:
    """An index with its content in SQLite, saved after each write; it is of one user."""

    def __init__(self, embedder: Embedder) -> None:
        from txtai import Embeddings

        def embed(texts: Sequence[str]) -> Vectors:  # txtai calls a bound method without arguments
            return embedder.embed(texts)

        self._folder = TemporaryDirectory(prefix=_FOLDER_PREFIX)
        self._embeddings: Any = Embeddings(
            {"method": "external", "transform": embed, "content": True}
        )

    def remember(self, turns: Sequence[Turn]) -> None:
        self._embeddings.upsert([(turn.id, content(turn), None) for turn in turns])
        self._embeddings.save(self._folder.name)

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        return [(hit["id"], hit["score"]) for hit in self._embeddings.search(text, k)]

    def close(self) -> None:
        self._embeddings.close()
        self._folder.cleanup()
