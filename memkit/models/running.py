"""Generation in a background thread, read piece by piece."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from memkit._moved import serve_old_names
from memkit.errors import ModelError

Result = TypeVar("Result")


class GenerationThread(Generic[Result]):
    """A reply that one thread generates while another reads it.

    Iterate over it for the reply's pieces, then call `finish` and `raise_failure`. `generate` gets
    a streamer and a stopping criterion. The strings `stops` end the reply; `special` keeps its
    special tokens.
    """

    def __init__(
        self,
        generate: Callable[[Any, Any], Result],
        tokenizer: Any,
        *,
        stops: Sequence[str],
        special: bool,
    ) -> None:
        from transformers import TextStreamer

        self._pieces: queue.Queue[str | None] = queue.Queue()
        self._stop = threading.Event()
        self._text = ""
        self._stops = stops
        self.first_token_at: float | None = None
        thread = self

        class Streamer(TextStreamer):  # type: ignore[misc]
            def put(self, value: Any) -> None:
                if not self.next_tokens_are_prompt and thread.first_token_at is None:
                    thread.first_token_at = time.perf_counter()
                super().put(value)

            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
                thread._receive(text)

        streamer = Streamer(tokenizer, skip_prompt=True, skip_special_tokens=not special)
        criterion = stopping_criterion(lambda ids: [self._stop.is_set()] * len(ids))
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memkit-generate")
        self._future = self._pool.submit(generate, streamer, criterion)
        self._future.add_done_callback(lambda _: self._pieces.put(None))

    def _receive(self, text: str) -> None:
        """Queue a piece of the reply; stop the model at the first stop string."""
        if text:
            self._pieces.put(text)
            self._text += text
        if any(stop in self._text for stop in self._stops):
            self._stop.set()

    def __iter__(self) -> Iterator[str]:
        return stream_until_stop(iter(self._pieces.get, None), self._stops)

    def finish(self) -> Result | None:
        """Stop the model; return the result of `generate`, or None if it failed."""
        self._stop.set()
        self._pool.shutdown(wait=True)
        return None if self._future.exception() else self._future.result()

    def raise_failure(self) -> None:
        """Raise a `ModelError` if `generate` failed."""
        _result(self._future)


def call_model(call: Callable[[], Result]) -> Result:
    """Run a call of the model in a thread; return its result or raise a `ModelError`."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="memkit-generate") as pool:
        return _result(pool.submit(call))


def _result(future: "Future[Result]") -> Result:
    error = future.exception()
    if error is not None:
        raise ModelError(f"the language model failed: {type(error).__name__}: {error}") from error
    return future.result()


def stopping_criterion(has_stopped: Callable[[Any], list[bool]]) -> Any:
    """Return a transformers stopping criterion: token ids, shape (rows, tokens) -> has stopped."""
    import torch
    from transformers import StoppingCriteria

    class Criterion(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
            return torch.tensor(has_stopped(input_ids), device=input_ids.device)

    return Criterion()


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """Return `text` up to the first stop string."""
    return text[: min((text.index(stop) for stop in stops if stop in text), default=len(text))]


def stream_until_stop(pieces: Iterator[str | None], stops: Sequence[str]) -> Iterator[str]:
    """Yield text up to the first stop string, which may be split over several pieces."""
    pending = ""
    for piece in pieces:
        pending += piece or ""
        if any(stop in pending for stop in stops):
            yield cut_at_stop(pending, stops)
            return
        # the end of `pending` may be the beginning of a stop string: wait for the next piece
        safe = len(pending) - max((_overlap(pending, stop) for stop in stops), default=0)
        if safe:
            yield pending[:safe]
            pending = pending[safe:]
    if pending:
        yield pending


def _overlap(text: str, stop: str) -> int:
    r"""Return how many characters at the end of `text` begin `stop`: 3 of "\nUs" and "\nUser:"."""
    return next((n for n in range(len(stop), 0, -1) if text.endswith(stop[:n])), 0)


serve_old_names(__name__)
