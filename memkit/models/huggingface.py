"""Any transformers causal language model: prompts, token counts, replies one by one or batched."""

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput, MissingExtra, ModelError, hf_packages
from memkit.models.generation import Generation, LastUsage
from memkit.models.kv_cache import PrefixCache, read_adapters, why_no_reuse
from memkit.models.running import GenerationThread, call_model
from memkit.models.template import PLAIN_STOPS, Template
from memkit.protocols import Messages
from memkit.records import Usage


class HuggingFaceModel:
    """A transformers causal LM and its tokenizer, with or without a chat template.

    The keys and values of the last prompt are cached, so the next prompt computes only what
    follows the common prefix. In float32 the generated tokens are the same as without the cache;
    in half precision they are nearly always the same. `no_reuse` says why a model cannot do this.

    The model's generation config applies except where an argument here replaces a setting.

    Args:
        reuse_prefix: False recomputes every prompt from its start.
        tools: functions or JSON schemas that the chat template shows to the model. A reply that
            calls a tool contains the call as the model wrote it; the caller runs it.
        chat_template_kwargs: further arguments of the chat template: enable_thinking=False, …
        seed: the random state at the start of each sampled reply, which makes it repeatable.
        generate: arguments of `model.generate`: generation_config, or its settings such as
            do_sample and temperature, stop_strings (left out of the reply), stopping_criteria, …

    Raises:
        InvalidInput: the template cannot show the tools, or the settings ask for several replies.
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
        self._last = LastUsage()
        self._template = Template(tokenizer, tools or (), chat_template_kwargs or {})
        self._generation = Generation(
            model, tokenizer, generate, seed=seed, special=bool(tools),
            stops=PLAIN_STOPS if self._template.is_plain else (),
        )  # fmt: skip
        self._reuse_prefix, self._adapters = reuse_prefix, read_adapters(model)
        self._prefix = PrefixCache(self._why_no_reuse())
        self._lock = threading.Lock()  # held while a reply is generated, not while it is read
        self._count_message = lru_cache(maxsize=4096)(
            lambda role, content: len(self.encode([{"role": role, "content": content}]))
        )

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
        """Load a model and its tokenizer by folder or Hugging Face id; `options` are the class's.

        `revision` is a commit, tag or branch of the id. `dtype` is the precision of the weights,
        such as "bfloat16", or "auto" for that of the files. `device_map` is transformers': where
        the weights go, "auto" if there is a GPU. Raises ModelError if there is no such model, and
        MissingExtra without torch and transformers.
        """
        model, tokenizer = load(name, revision=revision, dtype=dtype, device_map=device_map)
        return cls(model, tokenizer, **options)

    @classmethod
    def from_pipeline(cls, pipeline: Any, **options: Any) -> "HuggingFaceModel":
        """Take model, tokenizer and generation options of a text-generation pipeline."""
        model, tokenizer, defaults = unpack(pipeline)
        return cls(model, tokenizer, **(defaults | options))

    @property
    def usage(self) -> Usage | None:
        """The cost of the last reply that this thread read."""
        return self._last.usage

    @property
    def limit(self) -> int | None:
        """Most tokens of prompt and reply together; None if the model's config has no limit."""
        config = self.model.config.get_text_config(decoder=True)
        limit = getattr(config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    @property
    def max_new_tokens(self) -> int | None:
        """Most tokens of a reply; None if the generation config has no limit."""
        limit: int | None = self._generation.setting("max_new_tokens")
        return limit

    @property
    def no_reuse(self) -> str:
        """Why the prefix of a prompt is not reused; "" if it is."""
        return self._prefix.no_reuse

    def _why_no_reuse(self) -> str:
        if not self._reuse_prefix:
            return "switched off"
        return why_no_reuse(self.model, self._generation.setting)

    # ---- prompts

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with a space inside everything that could open or close a role."""
        return self._template.escape_role_markers(text)

    neutralise = escape_role_markers  # the name in 0.4.0; until 1.0

    def render(self, messages: Messages) -> str:
        """Return the prompt's text up to where the reply begins, in the model's template."""
        return self._template.render(messages)

    def encode(self, messages: Messages) -> list[int]:
        """Return the prompt's token ids, special tokens included."""
        return self._template.encode(messages)

    def count(self, messages: Messages) -> int:
        """Return the number of tokens in a prompt of these messages, template included."""
        if len(messages) == 1:  # packing counts the same single messages again and again
            return self._count_message(messages[0]["role"], messages[0]["content"])
        return len(self.encode(messages))

    def drop_cache(self) -> None:
        """Drop keys, values and texts of earlier prompts; after the current reply, if any."""
        self._count_message.cache_clear()
        self._prefix.invalidate()
        if self._lock.acquire(blocking=False):  # no reply is being generated
            try:
                self._prefix.update([])
            finally:
                self._lock.release()

    # ---- replies

    def stream(self, messages: Messages, *, max_new_tokens: int = 256) -> Generator[str]:
        """Yield the reply as it is generated; closing the iterator stops the model.

        The model generates one reply at a time for all threads. A slow reader does not block the
        next reply. Raises ModelError if the model failed; its cache is dropped then.
        """
        started = time.perf_counter()
        ids = self.encode(messages)
        thread = GenerationThread(
            partial(self._continue, ids, max_new_tokens), self.tokenizer,
            stops=self._generation.stops, special=self._generation.special,
        )  # fmt: skip
        try:
            yield from thread
        finally:
            reused, new_tokens = thread.finish() or (0, 0)
            ended = time.perf_counter()
            self._last.usage = Usage(
                prompt_tokens=len(ids),
                reused_tokens=reused,
                new_tokens=new_tokens,
                first_token_s=(thread.first_token_at or ended) - started,
                total_s=ended - started,
            )
        thread.raise_failure()

    def _continue(
        self, ids: list[int], max_new_tokens: int, streamer: Any, stopped: Any
    ) -> tuple[int, int]:
        """Generate after a prompt; return the numbers of reused prompt tokens and new tokens."""
        with self._lock:
            tokens: list[int] = []  # stays empty if the model fails, which drops the cache
            try:
                if (adapters := read_adapters(self.model)) != self._adapters:
                    self._adapters = adapters
                    self._prefix.reset(self._why_no_reuse())
                reused = self._prefix.prepare(ids)
                cache = self._prefix.cache
                past = {} if cache is None else {"past_key_values": cache}
                (new,) = self._generation(
                    [ids], max_new_tokens, criteria=[stopped], streamer=streamer, **past
                )
                tokens = ids + new
            finally:
                self._prefix.update(tokens)
        return reused, len(new)

    def replies(
        self, prompts: Sequence[Messages], *, max_new_tokens: int = 256, batch_size: int = 8
    ) -> list[str]:
        """Answer many prompts in batches, as `stream` would one by one; for evaluation.

        Prompts of similar length share a batch and are padded on the left. Greedy replies in
        float32 equal those of `stream`; sampled or half-precision replies may differ.
        """
        if batch_size < 1:
            raise InvalidInput(f"batch_size must be at least 1, got {batch_size}")
        encoded = [self.encode(messages) for messages in prompts]
        order = sorted(range(len(encoded)), key=lambda n: len(encoded[n]))
        replies = [""] * len(encoded)
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            ids = [encoded[n] for n in batch]
            with self._lock:
                texts = call_model(partial(self._generation.generate_texts, ids, max_new_tokens))
            for n, text in zip(batch, texts, strict=True):
                replies[n] = text
        return replies


def load(
    name: str | Path, *, revision: str = "main", dtype: str = "auto", device_map: Any = None
) -> tuple[Any, Any]:
    """Return (model, tokenizer); see `HuggingFaceModel.from_pretrained`."""
    with hf_packages(f"the model {str(name)!r}"):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

    if device_map is None and torch.cuda.is_available():
        device_map = "auto"
    if device_map is not None and find_spec("accelerate") is None:
        raise MissingExtra(
            f"device_map={device_map!r} needs accelerate: pip install 'memkit-llm[local]', or load "
            "the model yourself and pass it with its tokenizer"
        )
    local = Path(name).is_dir()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, local_files_only=local)
        model = AutoModelForCausalLM.from_pretrained(
            name, revision=revision, dtype=dtype, device_map=device_map, local_files_only=local
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no causal language model at {str(name)!r}: {error}; pass a folder or a Hugging Face "
            "id"
        ) from error
    return model.eval(), tokenizer


def unpack(pipeline: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Return a text-generation pipeline's model, tokenizer and arguments of `model.generate`."""
    if pipeline.task != "text-generation":
        raise InvalidInput(
            f'a pipeline for {pipeline.task!r} cannot chat; use pipeline("text-generation", …)'
        )
    # transformers has no public access to the options of a pipeline
    options = pipeline._prepare_generate_kwargs(dict(pipeline._forward_params))
    options.pop("tokenizer", None)
    if tools := pipeline._preprocess_params.get("tools"):
        options["tools"] = tools
    return pipeline.model, pipeline.tokenizer, options
