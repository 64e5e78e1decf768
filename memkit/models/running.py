"""One generation in a thread of its own, read piece by piece."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from memkit.errors import ModelError

Made = TypeVar("Made")


class Run(Generic[Made]):
    """A reply in the making.

    Args:
        generate: takes a streamer and a stopping criterion.
        tokenizer: the model's.
        stops: texts that end a reply and do not belong to it.
        special: whether to show special tokens; else they are left out.
    """

    def __init__(
        self,
        generate: Callable[[Any, Any], Made],
        tokenizer: Any,
        *,
        stops: Sequence[str],
        special: bool,
    ) -> None:
        from transformers import TextStreamer

        self._pieces: queue.Queue[str | None] = queue.Queue()
        self._stop = threading.Event()
        self._said = ""
        self._stops = stops
        self.first_token_at: float | None = None
        run = self

        class Streamer(TextStreamer):  # type: ignore[misc]
            def put(self, value: Any) -> None:
                if not self.next_tokens_are_prompt and run.first_token_at is None:
                    run.first_token_at = time.perf_counter()
                super().put(value)

            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
                run._take(text)

        streamer = Streamer(tokenizer, skip_prompt=True, skip_special_tokens=not special)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memkit-generate")
        self._future = self._pool.submit(generate, streamer, self._criterion())
        self._future.add_done_callback(lambda _: self._pieces.put(None))

    def _take(self, text: str) -> None:
        if text:
            self._pieces.put(text)
            self._said += text
        if any(stop in self._said for stop in self._stops):
            self._stop.set()

    def _criterion(self) -> Any:
        import torch
        from transformers import StoppingCriteria

        stop = self._stop

        class Stopped(StoppingCriteria):  # type: ignore[misc]
            def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
                rows, device = input_ids.shape[0], input_ids.device
                return torch.full((rows,), stop.is_set(), dtype=torch.bool, device=device)

        return Stopped()

    def __iter__(self) -> Iterator[str]:
        return until_stop(iter(self._pieces.get, None), self._stops)

    def finish(self) -> Made | None:
        """Stop the model if it still runs; return what `generate` returned, None if it failed."""
        self._stop.set()
        self._pool.shutdown(wait=True)
        return None if self._future.exception() else self._future.result()

    def raise_failure(self) -> None:
        """Raise what the model raised, in our words."""
        _result(self._future)


def attempt(call: Callable[[], Made]) -> Made:
    """Return what a call of the model returns, or raise what it raises in our words."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="memkit-generate") as pool:
        return _result(pool.submit(call))


def _result(future: "Future[Made]") -> Made:
    error = future.exception()
    if error is not None:
        raise ModelError(f"the language model failed: {type(error).__name__}: {error}") from error
    return future.result()


def cut(text: str, stops: Sequence[str]) -> str:
    """Return `text` up to the first stop."""
    return text[: min((text.index(stop) for stop in stops if stop in text), default=len(text))]


def until_stop(pieces: Iterator[str | None], stops: Sequence[str]) -> Iterator[str]:
    """Yield text up to the first stop, holding back what might be its beginning."""
    held = ""
    for piece in pieces:
        held += piece or ""
        if any(stop in held for stop in stops):
            yield cut(held, stops)
            return
        safe = len(held) - max((_overlap(held, stop) for stop in stops), default=0)
        if safe:
            yield held[:safe]
            held = held[safe:]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """Return how many of the last characters of `text` are a beginning of `stop`."""
    return next((n for n in range(len(stop), 0, -1) if text.endswith(stop[:n])), 0)
