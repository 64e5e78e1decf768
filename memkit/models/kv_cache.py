"""Prefix caching: the keys and values that a prompt shares with the one before it."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

# rotary position types that depend on the prompt's length, so that cached keys would be wrong
_LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})
# layers of transformers' DynamicCache that `crop` can shorten to any number of tokens
_CROPPABLE_LAYERS = frozenset({"DynamicLayer", "DynamicSlidingWindowLayer"})


class PrefixCache:
    """A model's keys and values of the last prompt, and the tokens they belong to.

    Sliding-window layers are cached in full, like all others, so that they can be cropped at any
    token: the attention mask applies the window. `no_reuse` is why the model cannot reuse a prefix.
    """

    def __init__(self, no_reuse: str) -> None:
        self.no_reuse = no_reuse
        self.cache: Any = None  # None: the model creates a cache per reply
        self._tokens: list[int] = []
        self._invalid = False  # drop the cache at the next chance

    def reset(self, no_reuse: str) -> None:
        """Drop the cache, because the model's weights are others now."""
        self.no_reuse = no_reuse
        self.update([])

    def invalidate(self) -> None:
        """Drop the cache at the next `update` or `prepare`. Any thread may call this."""
        self._invalid = True

    def prepare(self, ids: Sequence[int]) -> int:
        """Crop the cache to its common prefix with a prompt; return the prefix's length."""
        if self.no_reuse:
            return 0
        if self._invalid:
            self.update([])
        # at least one token must be computed to generate from
        pairs = enumerate(zip(self._tokens, ids, strict=False))
        common = next((n for n, (old, new) in pairs if old != new), len(self._tokens))
        shared = min(common, len(ids) - 1)
        if not shared:
            from transformers import DynamicCache

            self.cache, self._tokens = DynamicCache(), []
        elif shared < len(self._tokens):
            # transformers 5: a negative number is how many tokens to remove
            self.cache.crop(shared - len(self._tokens))
        return shared

    def update(self, tokens: Sequence[int]) -> None:
        """Record the tokens of a prompt and its reply; an empty one drops the cache."""
        if self._invalid:
            tokens, self._invalid = [], False
        length = self.cache.get_seq_length() if self.cache is not None and tokens else 0
        self._tokens = list(tokens[:length])
        if not length:
            self.cache = None


def why_no_reuse(model: Any, setting: Callable[[str], Any]) -> str:
    """Return why a model's keys and values cannot be cropped at any token, or "" if they can."""
    if setting("use_cache") is False:
        return "no cache: use_cache is False"
    if setting("cache_implementation") not in (None, "hybrid"):  # "hybrid": old name of the default
        return f"cache_implementation={setting('cache_implementation')!r} cannot be cropped"
    if setting("assistant_model") or setting("prompt_lookup_num_tokens"):
        return "assisted decoding keeps a cache of its own"
    if not _accepts_cache(model):
        return f"{type(model).__name__} takes no cache of keys and values"
    return _why_not_exact(model)


def _why_not_exact(model: Any) -> str:
    """Return why a cropped cache would not be that of the shorter prompt, or "" if it is."""
    if _learns_prompts(model):
        return "a prompt-learning adapter adds tokens of its own to the prompt"
    config = model.config.get_text_config(decoder=True)
    ropes = _rope_types(getattr(config, "rope_parameters", None)) & _LENGTH_DEPENDENT_ROPE
    if ropes:
        return f"positions depend on the prompt's length (rope_type={min(ropes)!r})"
    from transformers import DynamicCache

    layers = {type(layer).__name__ for layer in DynamicCache(config=config).layers}
    fixed = sorted(layers - _CROPPABLE_LAYERS)
    return f"{', '.join(fixed)} cannot be cropped at any token" if fixed else ""


def read_adapters(model: Any) -> Any:
    """Return which of a model's PEFT adapters are active; None if there are none in its layers."""
    if not getattr(model, "peft_config", None) or _learns_prompts(model):
        return None
    from peft import get_model_status

    status = get_model_status(model)
    return status.enabled, status.active_adapters, status.merged_adapters


def _learns_prompts(model: Any) -> bool:
    configs = (getattr(model, "peft_config", None) or {}).values()
    return any(config.is_prompt_learning or config.is_adaption_prompt for config in configs)


def _accepts_cache(model: Any) -> bool:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model  # PEFT's wrapper
    parameters = signature(base.forward).parameters
    return "past_key_values" in parameters or "args" in parameters  # forward(*args) passes all on


def _rope_types(parameters: Any) -> set[str]:
    """Return the rotary position types; some models have one per kind of layer."""
    if not isinstance(parameters, dict):
        return set()
    nested = [_rope_types(value) for value in parameters.values()]
    return {str(parameters.get("rope_type"))}.union(*nested)
