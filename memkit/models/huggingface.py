"""Any transformers causal language model: prompts, token counts, streaming, KV-prefix reuse."""

import queue
import re
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from typing import Any

from memkit.errors import ModelError
from memkit.prompt import defuse
from memkit.protocols import Messages
from memkit.records import Usage

_PLAIN = {"system": "", "user": "User: ", "assistant": "Assistant: "}
_PLAIN_STOP = ("\nUser:", "\nAssistant:")
_BRACKETED = re.compile(r"<+[^<>]+>+|\[[^][]+\]")  # of "</s><s>[INST]", each mark alone
_PLAIN_ROLE = re.compile(r"(?m)^(\s*)(User|Assistant):")
_PROBES = {"system": "aXsYsTeMx", "user": "aXuSeRx", "assistant": "aXaSsIsTx"}


class HuggingFaceModel:
    """A transformers causal LM and its tokenizer, with or without a chat template.

    Keys and values of the last prompt are kept; the next prompt computes only what comes after
    their common prefix. Tokens are the same as without (checked in the tests, float32).

    Args:
        model: a loaded causal LM.
        tokenizer: its tokenizer.
        reuse_prefix: False recomputes every prompt from its start.
        generate: options for `model.generate`, such as do_sample or temperature.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, reuse_prefix: bool = True, **generate: Any
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.usage: Usage | None = None  # of the last reply
        self._generate = {"do_sample": False} | generate
        self._lock = threading.Lock()
        self._streaming_in: int | None = None  # the thread that reads a reply
        self._cache: Any = None
        self._cached: list[int] = []  # the tokens whose keys and values are in the cache
        self.no_reuse = "switched off" if not reuse_prefix else _why_no_reuse(model)
        self._length = lru_cache(maxsize=4096)(self._single)

    @property
    def limit(self) -> int | None:
        """Most tokens of prompt and reply together, if the model says."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    # ---- prompts

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the chat template shows a system message as given."""
        if self.tokenizer.chat_template is None:
            return True
        try:
            shown = self._template(_probe("system", "user"))
        except ModelError:
            return False
        return _PROBES["system"] in shown

    @cached_property
    def marks(self) -> "re.Pattern[str] | None":
        """What opens or closes a role in this model's prompts: special tokens, template text."""
        found = set(self.tokenizer.all_special_tokens)
        found |= {
            str(token.content)
            for token in self.tokenizer.added_tokens_decoder.values()
            if token.special
        }
        if self.tokenizer.chat_template is not None:
            roles = ["user", "assistant", "user"]
            shown = self._template(_probe(*(["system"] if self.has_system_role else []), *roles))
            before, *between = re.split("|".join(_PROBES.values()), shown)
            # only the first line of what stands first: templates put notes of their own below
            parts = " ".join([*before.strip().splitlines()[:1], *between]).split()
            for part in parts:
                found |= set(_BRACKETED.findall(part) or re.findall(r".*\W.*", part))
        bare = {mark.strip() for mark in found}
        kept = sorted((mark for mark in bare if len(mark) > 1), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, kept))) if kept else None

    def neutralise(self, text: str) -> str:
        """Return `text` with a space inside everything that could open or close a role."""
        if self.tokenizer.chat_template is None:
            text = _PLAIN_ROLE.sub(r"\1\2 :", text)
        return defuse(text, self.marks)

    def render(self, messages: Messages) -> str:
        """Return the prompt as the model's template writes it, up to where the reply begins."""
        if self.tokenizer.chat_template is None:
            lines = [_PLAIN[message["role"]] + message["content"] for message in messages]
            return "\n".join([*lines, "Assistant:"])
        if messages and messages[0]["role"] == "system" and not self.has_system_role:
            messages = _fold_system(messages)
        return self._template(messages)

    def _template(self, messages: Messages) -> str:
        import jinja2

        try:
            prompt: str = self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
        except jinja2.TemplateError as error:
            raise ModelError(f"the model's chat template failed: {error}") from error
        return prompt

    def encode(self, messages: Messages) -> list[int]:
        """Return the prompt's tokens; templates write their own special tokens."""
        special = self.tokenizer.chat_template is None
        ids: list[int] = self.tokenizer(self.render(messages), add_special_tokens=special)[
            "input_ids"
        ]
        return ids

    def count(self, messages: Messages) -> int:
        """Return how many tokens the prompt of these messages has, template included."""
        if len(messages) == 1:  # asked again and again for the same parts while packing
            return self._length(messages[0]["role"], messages[0]["content"])
        return len(self.encode(messages))

    def _single(self, role: str, content: str) -> int:
        return len(self.encode([{"role": role, "content": content}]))

    # ---- replies

    def stream(self, messages: Messages, *, max_new_tokens: int = 256) -> Generator[str]:
        """Yield the reply as it is generated; closing the iterator stops the model.

        Raises:
            ModelError: the model failed, and nothing of its state is kept; or this thread has
                another reply of the same model open.
        """
        started = time.perf_counter()
        if self._streaming_in == threading.get_ident():
            raise ModelError("another reply of this model is open; read it to its end, or close it")
        with self._lock:
            ids = self.encode(messages)
            reused = self._prepare(ids)
            run = _Run(self, ids, max_new_tokens)
            self._streaming_in = threading.get_ident()
            try:
                yield from run
            finally:
                tokens = run.finish()
                self._streaming_in = None
                self._keep(tokens)
                ended = time.perf_counter()
                self.usage = Usage(
                    prompt_tokens=len(ids),
                    reused_tokens=reused,
                    new_tokens=max(len(tokens) - len(ids), 0),
                    first_token_s=(run.first_token_at or ended) - started,
                    total_s=ended - started,
                )
            run.raise_failure()

    def _prepare(self, ids: Sequence[int]) -> int:
        """Cut the cache down to what it shares with the new prompt; return how much that is."""
        if self.no_reuse:
            return 0
        shared = _shared_prefix(self._cached, ids)
        shared = min(shared, len(ids) - 1)  # the model needs one token to start from
        if not shared:
            from transformers import DynamicCache

            self._cache, self._cached = DynamicCache(config=self.model.config), []
            return 0
        if shared < len(self._cached):
            self._cache.crop(shared - len(self._cached))
        return shared

    def _keep(self, tokens: Sequence[int]) -> None:
        length = self._cache.get_seq_length() if self._cache is not None and tokens else 0
        self._cached = list(tokens[:length])
        if not length:
            self._cache = None

    def generate(self, ids: Sequence[int], **options: Any) -> list[int]:
        """Run the model once over a prompt; return prompt and reply as tokens."""
        import torch

        prompt = torch.tensor([ids], device=self.model.device)
        if self._cache is not None and not self.no_reuse:
            options["past_key_values"] = self._cache
        end = self.tokenizer.pad_token_id
        with torch.inference_mode():
            out = self.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                pad_token_id=self.tokenizer.eos_token_id if end is None else end,
                **self._generate,
                **options,
            )
        tokens: list[int] = out[0].tolist()
        return tokens


class _Run:
    """One generation in a thread of its own, read piece by piece."""

    def __init__(self, model: HuggingFaceModel, ids: list[int], max_new_tokens: int) -> None:
        from transformers import StoppingCriteria, StoppingCriteriaList, TextStreamer

        self._pieces: queue.Queue[str | None] = queue.Queue()
        self._stop = threading.Event()
        self.first_token_at: float | None = None
        run = self

        class Streamer(TextStreamer):  # type: ignore[misc]
            def put(self, value: Any) -> None:
                if not self.next_tokens_are_prompt and run.first_token_at is None:
                    run.first_token_at = time.perf_counter()
                super().put(value)

            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
                if text:
                    run._pieces.put(text)
                    run._said += text
                if any(stop in run._said for stop in run._stops):
                    run._stop.set()

        class Stop(StoppingCriteria):  # type: ignore[misc]
            def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
                import torch

                rows, device = input_ids.shape[0], input_ids.device
                return torch.full((rows,), run._stop.is_set(), dtype=torch.bool, device=device)

        self._said = ""
        self._stops = _PLAIN_STOP if model.tokenizer.chat_template is None else ()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memkit-generate")
        self._future = self._pool.submit(
            model.generate,
            ids,
            max_new_tokens=max_new_tokens,
            streamer=Streamer(model.tokenizer, skip_prompt=True, skip_special_tokens=True),
            stopping_criteria=StoppingCriteriaList([Stop()]),
        )
        self._future.add_done_callback(lambda _: self._pieces.put(None))

    def __iter__(self) -> Iterator[str]:
        return _until_stop(iter(self._pieces.get, None), self._stops)

    def finish(self) -> list[int]:
        """Stop the model if it still runs; return prompt and reply, or nothing if it failed."""
        self._stop.set()
        self._pool.shutdown(wait=True)
        return [] if self._future.exception() else self._future.result()

    def raise_failure(self) -> None:
        """Raise what the model raised, in our words."""
        error = self._future.exception()
        if error is not None:
            raise ModelError(
                f"the language model failed: {type(error).__name__}: {error}"
            ) from error


def _until_stop(pieces: Iterator[str | None], stops: Sequence[str]) -> Iterator[str]:
    """Yield text up to the first stop string, holding back what might be its beginning."""
    held = ""
    for piece in pieces:
        held += piece or ""
        ends = [held.index(stop) for stop in stops if stop in held]
        if ends:
            yield held[: min(ends)]
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


def _shared_prefix(old: Sequence[int], new: Sequence[int]) -> int:
    pairs = zip(old, new, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))


def _why_no_reuse(model: Any) -> str:
    """Return why this model's cache cannot be cut at any token, or "" if it can."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=model.config).layers
    other = sorted({type(layer).__name__ for layer in layers if type(layer) is not DynamicLayer})
    return f"{', '.join(other)} cannot be cut at any token" if other else ""


def _probe(*roles: str) -> Messages:
    return [{"role": role, "content": _PROBES[role]} for role in roles]


def _fold_system(messages: Messages) -> Messages:
    """Put the system text in front of the first user message, for templates without the role."""
    system, first, *rest = messages
    content = f"{system['content']}\n\n{first['content']}"
    return [{"role": "user", "content": content}, *rest]
