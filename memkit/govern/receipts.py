"""Receipts of a deletion as signed JSON, and their check against a memory.

The key that signs is in a file of its own beside the memory, readable by its owner only: whoever
gets a copy or a backup of the memory cannot write receipts for it. Its public half is in every
receipt, and the ledger names it, so that a receipt with another key is not accepted.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memkit.errors import InvalidInput, MissingExtra
from memkit.govern.forget import digest_turn
from memkit.govern.ledger import find_faults
from memkit.protocols import Backend, Window
from memkit.records import Receipt, Scope

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_FORMAT = "memkit receipt 1"


def check_can_sign(store: Backend) -> None:
    """Raise unless receipts of this memory can be signed.

    Raises:
        MissingExtra: cryptography is not installed.
        InvalidInput: the memory is in RAM.
    """
    _load_key(store)


def sign(receipt: Receipt, store: Backend) -> str:
    """Return a receipt as JSON with an Ed25519 signature by the memory's key.

    Raises:
        MissingExtra: cryptography is not installed.
        InvalidInput: it is the receipt of a dry run, or the memory is in RAM.
    """
    if receipt.dry_run or receipt.event is None:
        raise InvalidInput("nothing was deleted, so there is nothing to sign")
    key = _load_key(store)
    document = asdict(receipt) | {
        "format": _FORMAT,
        "at": None if receipt.at is None else receipt.at.isoformat(),
        "public_key": key.public_key().public_bytes_raw().hex(),
    }
    del document["dry_run"]
    document["signature"] = key.sign(_canonical(document)).hex()
    return json.dumps(document, ensure_ascii=False, indent=1)


def parse(text: str) -> dict[str, Any]:
    """Read a signed receipt. Raises InvalidInput if it is none."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"a receipt is JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise InvalidInput(f'a receipt has "format": "{_FORMAT}"')
    return document


def verify(document: Mapping[str, Any], store: Backend) -> list[str]:
    """Return one sentence per fault of a receipt, none if it holds for this memory.

    It holds if the signature is by the memory's key, the ledger is whole and has the deletion, and
    no deleted turn is stored. Cost: reads all events, and the user's turns.
    """
    if not _is_signed(document):
        return ["the signature is wrong: the receipt was changed"]
    faults = list(_check_ledger(document, store))
    if count := len(find_returned(document, store)):
        faults.append(
            f"{count} of {len(document['digests'])} forgotten turns are stored again, for example "
            "from an older copy; `memkit verify-receipt --purge` deletes them"
        )
    return faults


def find_returned(document: Mapping[str, Any], store: Backend) -> list[str]:
    """Return the ids of the turns of a receipt that are stored."""
    digests, user_id = set(document["digests"]), document["user_id"]
    turns = store.turns(Scope(user_id=user_id), Window(ids=list(document["turn_ids"])))
    return [
        turn.id or "" for turn in turns if digest_turn(document["salt"], user_id, turn) in digests
    ]


def _is_signed(document: Mapping[str, Any]) -> bool:
    """Return whether the signature of a receipt is by the key that it names."""
    invalid_signature, public_key_class, _ = _import_cryptography()
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    try:
        public_key = public_key_class.from_public_bytes(bytes.fromhex(document["public_key"]))
        public_key.verify(bytes.fromhex(document["signature"]), _canonical(unsigned))
    except (invalid_signature, KeyError, TypeError, ValueError):
        return False
    return True


def _check_ledger(document: Mapping[str, Any], store: Backend) -> Iterator[str]:
    events = list(store.events())
    if document["public_key"] not in {event.source for event in events if event.kind == "key"}:
        yield "the receipt was signed with a key that is not of this memory"
    yield from find_faults(events)
    if document["event"] not in {event.hash for event in events if event.kind == "forget"}:
        yield "the memory's ledger does not have this deletion: it is another or an older copy"


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=True).encode()


def _load_key(store: Backend) -> "Ed25519PrivateKey":
    """Return the memory's key; the first call creates it and names it in the ledger."""
    _, _, private_key_class = _import_cryptography()
    if store.path is None:
        raise InvalidInput("a memory in RAM has no key: open a file to sign receipts")
    path = Path(f"{store.path}.key")
    if not path.exists():
        key: Ed25519PrivateKey = private_key_class.generate()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes_raw())
        store.record("key", source=key.public_key().public_bytes_raw().hex())
    try:
        return private_key_class.from_private_bytes(path.read_bytes())  # type: ignore[no-any-return]
    except ValueError as error:
        raise InvalidInput(
            f"{path} is no key of a memory; delete it, and a new one is made"
        ) from error


def _import_cryptography() -> tuple[type[Exception], Any, Any]:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "signed receipts need cryptography: pip install 'memkit-llm[govern]'"
        ) from error
    return InvalidSignature, ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey
