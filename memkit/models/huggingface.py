"""Any transformers causal language model: prompts, token counts, replies alone and in batches."""

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput
from memkit.models import loading
from memkit.models.generation import Generation
from memkit.models.kv_cache import Prefix, why_no_reuse
from memkit.models.last import Last
from memkit.models.running import Run, attempt
from memkit.models.template import PLAIN_STOP, Template
from memkit.protocols import Messages
from memkit.records import Usage


class HuggingFaceModel:
    """A transformers causal LM and its tokenizer, with or without a chat template.

    Keys and values of the last prompt are kept; the next prompt computes only what comes after
    their common prefix. In float32 the tokens are the same as without; in half precision, where
    rounding depends on how much is computed at once, nearly always. `no_reuse` says why where
    this cannot be done.

    Replies are generated as the model's own generation config says, unless told otherwise here.

    Args:
        model: a loaded causal LM.
        tokenizer: its tokenizer.
        reuse_prefix: False recomputes every prompt from its start.
        tools: functions or JSON schemas that the chat template shows to the model. A reply that
            calls one holds the call as the model wrote it, special tokens too; running it is up
            to the caller.
        chat_template_kwargs: what else the chat template takes, such as enable_thinking=False.
        seed: makes sampled replies repeatable; each one starts from it.
        generate: what `model.generate` takes: generation_config, or its settings such as
            do_sample and temperature, stop_strings (left out of the reply), stopping_criteria, …

    Raises:
        InvalidInput: the tools cannot be shown, or the settings ask for more than one reply.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        reuse_prefix: bool = True,
        tools: Sequence[Any] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        seed: int | None = None,
        **generate: Any,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._last = Last()
        self._template = Template(tokenizer, tools or (), chat_template_kwargs or {})
        self._generation = Generation(
            model, tokenizer, generate, seed=seed, special=bool(tools),
            stops=PLAIN_STOP if self._template.is_plain else (),
        )  # fmt: skip
        why = why_no_reuse(model, self._generation.setting)
        self._prefix = Prefix(why if reuse_prefix else "switched off")
        self._lock = threading.Lock()  # held while a reply is generated, not while it is read
        self._length = lru_cache(maxsize=4096)(self._single)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str = "main",
        dtype: str = "auto",
        device_map: Any = None,
        **options: Any,
    ) -> "HuggingFaceModel":
        """Load a model and its tokenizer.

        Args:
            name: a folder, or a Hugging Face id.
            revision: of an id: a commit, tag or branch.
            dtype: precision of the weights, such as "bfloat16"; "auto" is that of the files.
            device_map: where the weights lie, see transformers; "auto" if there is a GPU.
            options: as for the class.

        Raises:
            ModelError: there is no such model.
            MissingExtra: there is a device map, or a GPU, and accelerate is not installed.
        """
        loaded = loading.load(name, revision=revision, dtype=dtype, device_map=device_map)
        return cls(*loaded, **options)

    @classmethod
    def from_pipeline(cls, pipeline: Any, **options: Any) -> "HuggingFaceModel":
        """Take the model, the tokenizer and the generation options of a transformers pipeline.

        Raises:
            InvalidInput: it is no pipeline for "text-generation".
        """
        model, tokenizer, given = loading.unpack(pipeline)
        return cls(model, tokenizer, **(given | options))

    @property
    def usage(self) -> Usage | None:
        """What the last reply cost that this thread has read."""
        return self._last.usage

    @property
    def limit(self) -> int | None:
        """Most tokens of prompt and reply together, if the model says."""
        config = self.model.config.get_text_config(decoder=True)
        limit = getattr(config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    @property
    def max_new_tokens(self) -> int | None:
        """Most tokens of a reply, if the generation config says."""
        most: int | None = self._generation.setting("max_new_tokens")
        return most

    @property
    def no_reuse(self) -> str:
        """Why no prefix is reused; "" if it is."""
        return self._prefix.no_reuse

    # ---- prompts

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with a space inside everything that could open or close a role."""
        return self._template.escape_role_markers(text)

    def render(self, messages: Messages) -> str:
        """Return the prompt as the model's template writes it, up to where the reply begins."""
        return self._template.render(messages)

    def encode(self, messages: Messages) -> list[int]:
        """Return the prompt's tokens; templates write their own special tokens."""
        return self._template.encode(messages)

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

        Replies are generated one after the other, whoever asks. One that is read slowly keeps
        nobody waiting: it is generated to its end meanwhile.

        Raises:
            ModelError: the model failed, and nothing of its state is kept.
        """
        started = time.perf_counter()
        ids = self.encode(messages)
        generation = self._generation
        run = Run(
            partial(self._continue, ids, max_new_tokens),
            self.tokenizer,
            stops=generation.stops,
            special=generation.special,
        )
        try:
            yield from run
        finally:
            reused, new_tokens = run.finish() or (0, 0)
            ended = time.perf_counter()
            self._last.usage = Usage(
                prompt_tokens=len(ids),
                reused_tokens=reused,
                new_tokens=new_tokens,
                first_token_s=(run.first_token_at or ended) - started,
                total_s=ended - started,
            )
        run.raise_failure()

    def _continue(
        self, ids: list[int], max_new_tokens: int, streamer: Any, stopped: Any
    ) -> tuple[int, int]:
        """Generate behind a prompt; return how many of its tokens were reused, and the new ones."""
        with self._lock:
            tokens: list[int] = []
            try:
                reused = self._prefix.prepare(ids)
                cache = self._prefix.cache
                past = {} if cache is None else {"past_key_values": cache}
                (new,) = self._generation(
                    [ids], max_new_tokens, criteria=[stopped], streamer=streamer, **past
                )
                tokens = ids + new
            finally:
                self._prefix.keep(tokens)
        return reused, len(new)

    def replies(
        self, prompts: Sequence[Messages], *, max_new_tokens: int = 256, batch_size: int = 8
    ) -> list[str]:
        """Answer many prompts at once, as `stream` would one by one; for evaluation.

        Padded on the left, those of about one length together. Greedy replies in float32 are the
        same as one by one; sampled ones, and those in half precision, need not be.

        Raises:
            ModelError: the model failed.
        """
        if batch_size < 1:
            raise InvalidInput(f"batch_size must be at least 1, got {batch_size}")
        encoded = [self.encode(messages) for messages in prompts]
        order = sorted(range(len(encoded)), key=lambda n: len(encoded[n]))
        said = [""] * len(encoded)
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            ids = [encoded[n] for n in batch]
            with self._lock:
                texts = attempt(partial(self._generation.several, ids, max_new_tokens))
            for n, text in zip(batch, texts, strict=True):
                said[n] = text
        return said
