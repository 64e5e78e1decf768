"""The keys and values of the last prompt, cut down to what the next one begins with."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

_STRETCHING = ("dynamic", "longrope")  # rotary positions that depend on how long the prompt is
_CUTTABLE = ("DynamicLayer", "DynamicSlidingWindowLayer")


class Prefix:
    """A model's cache of keys and values, and the tokens they belong to.

    Layers with a sliding window are kept whole like any other, so that they can be cut at any
    token: the window is in the attention mask, and the tokens are the same.

    Args:
        no_reuse: why nothing can be kept; "" if it can.
    """

    def __init__(self, no_reuse: str) -> None:
        self.no_reuse = no_reuse
        self.cache: Any = None  # None: the model makes its own, and it is thrown away
        self._tokens: list[int] = []

    def prepare(self, ids: Sequence[int]) -> int:
        """Cut the cache down to what it shares with a prompt; return how many tokens that is."""
        if self.no_reuse:
            return 0
        shared = min(_shared(self._tokens, ids), len(ids) - 1)  # one token to start from
        if not shared:
            from transformers import DynamicCache

            self.cache, self._tokens = DynamicCache(), []
        elif shared < len(self._tokens):
            self.cache.crop(shared - len(self._tokens))
        return shared

    def keep(self, tokens: Sequence[int]) -> None:
        """Keep what the cache holds of a prompt and its reply; of no tokens, nothing."""
        length = self.cache.get_seq_length() if self.cache is not None and tokens else 0
        self._tokens = list(tokens[:length])
        if not length:
            self.cache = None


def why_no_reuse(model: Any, setting: Callable[[str], Any]) -> str:
    """Return why a model's keys and values cannot be cut at any token, or "" if they can.

    Args:
        model: a causal LM.
        setting: says what a generation setting is.
    """
    if setting("use_cache") is False:
        return "no cache: use_cache is False"
    if setting("cache_implementation") not in (None, "hybrid"):  # an old name for the usual one
        return f"cache_implementation={setting('cache_implementation')!r} cannot be cut"
    if setting("assistant_model") or setting("prompt_lookup_num_tokens"):
        return "assisted decoding keeps a cache of its own"
    if not _takes_cache(model):
        return f"{type(model).__name__} takes no cache of keys and values"
    config = model.config.get_text_config(decoder=True)
    if stretching := sorted(_rope_types(getattr(config, "rope_parameters", None)) & {*_STRETCHING}):
        return f"positions stretch with the prompt (rope_type={stretching[0]!r})"
    from transformers import DynamicCache

    layers = {type(layer).__name__ for layer in DynamicCache(config=config).layers}
    other = sorted(layers - {*_CUTTABLE})
    return f"{', '.join(other)} cannot be cut at any token" if other else ""


def _takes_cache(model: Any) -> bool:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model  # inside PEFT's
    taken = signature(base.forward).parameters
    return "past_key_values" in taken or "args" in taken  # a wrapper's that hands on everything


def _rope_types(parameters: Any) -> set[str]:
    """Return the kinds of rotary positions; some models have one for each kind of layer."""
    if not isinstance(parameters, dict):
        return set()
    nested = [_rope_types(value) for value in parameters.values()]
    return {str(parameters.get("rope_type"))}.union(*nested)


def _shared(old: Sequence[int], new: Sequence[int]) -> int:
    pairs = zip(old, new, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))
