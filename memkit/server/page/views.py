"""Records as JSON objects for the page. Texts are data: the page shows them, it never runs them."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from memkit.records import Event, Hit, Receipt, Summary, Thought, Turn
from memkit.retrieval.chunk_attention import AttendedChunk, ChunkAttention

_MOST_CHARACTERS = 4_000  # of a turn in a list

Json = dict[str, Any]


def turn_to_json(turn: Turn, *, whole: bool = False) -> Json:
    """Return a turn; `length` is that of its text, which is cut in a list."""
    return {
        "id": turn.id,
        "text": turn.text if whole else turn.text[:_MOST_CHARACTERS],
        "length": len(turn.text),
        "role": turn.role,
        "speaker": turn.speaker,
        "source": turn.source,
        "said_at": _time(turn.said_at),
        "stored_at": _time(turn.stored_at),
        "session_id": turn.session_id,
        "agent_id": turn.agent_id,
        "metadata": dict(turn.metadata),
        "flags": turn.flags,
    }


def thought_to_json(thought: Thought) -> Json:
    """Return a thought with both its times, its sources and the later words that doubt it."""
    return {
        "id": thought.id,
        "text": thought.text,
        "kind": thought.kind,
        "said_by": thought.said_by,
        "said_at": _time(thought.said_at),
        "repeated_at": _time(thought.repeated_at),
        "valid_from": _time(thought.valid_from),
        "valid_to": _time(thought.valid_to),
        "recorded_at": _time(thought.recorded_at),
        "retracted_at": _time(thought.retracted_at),
        "closed_by": thought.closed_by,
        "support": thought.support,
        "turn_ids": thought.turn_ids,
        "later": [
            {"turn_id": quote.turn_id, "said_at": _time(quote.said_at), "text": quote.text}
            for quote in thought.later
        ],
    }


def hit_to_json(hit: Hit) -> Json:
    """Return a hit with each signal's share of its relevance."""
    return {
        "text": hit.text,
        "relevance": hit.relevance,
        "kind": hit.kind,
        "speaker": hit.speaker,
        "source": hit.source,
        "said_at": _time(hit.said_at),
        "session_id": hit.session_id,
        "turn_ids": hit.turn_ids,
        "thought_id": hit.thought_id,
        "explain": dict(hit.explain),
    }


def summary_to_json(summary: Summary) -> Json:
    """Return a version of a summary."""
    return {
        "id": summary.id,
        "text": summary.text,
        "level": summary.level,
        "through": summary.through,
        "tokens": summary.tokens,
        "created_at": _time(summary.created_at),
        "sources": len(summary.sources),
    }


def receipt_to_json(receipt: Receipt) -> Json:
    """Return a receipt."""
    return asdict(receipt) | {"at": _time(receipt.at)}


def event_to_json(event: Event) -> Json:
    """Return an event of the ledger, which has no content."""
    return {"seq": event.seq, "at": event.at, "kind": event.kind, "counts": dict(event.counts)}


def attention_to_json(attention: ChunkAttention) -> Json:
    """Return the chunks that attention opened, and the turns inside the best of them."""
    return {
        "chunks": len(attention.weights),
        "opened": [
            {"said_at": str(time), "weight": float(weight)}
            for time, weight in zip(attention.times, attention.weights, strict=True)
            if weight > 0
        ],
        "best": [_attended_to_json(chunk) for chunk in attention.opened],
    }


def _attended_to_json(chunk: AttendedChunk) -> Json:
    turns = [
        {
            "id": match.turn.id,
            "speaker": match.turn.speaker,
            "said_at": _time(match.turn.said_at),
            "text": match.turn.text[match.start : match.end][:_MOST_CHARACTERS],
            "share": float(share),
        }
        for match, share in zip(chunk.matches, chunk.shares, strict=True)
    ]
    return {"weight": float(chunk.weight), "turns": turns}


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def thoughts_to_json(thoughts: Iterable[Thought]) -> list[Json]:
    """Return thoughts as JSON objects."""
    return list(map(thought_to_json, thoughts))
