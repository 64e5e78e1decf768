"""Generation with a transformers model: its own settings and the caller's on top of them."""

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from memkit.errors import InvalidInput
from memkit.models.running import cut_at_stop, stopping_criterion
from memkit.records import Usage


class LastUsage(threading.local):
    """The cost of a model's last reply, per thread: several threads may read replies at once."""

    usage: Usage | None = None
    estimated = False  # whether memkit counted the tokens, and not the server


class Generation:
    """Continues token sequences with a causal LM.

    `options` are arguments of `model.generate`; `seed` is the random state at the start of each
    sampled reply; `special` keeps special tokens in replies; `stops` end a reply too. Raises
    InvalidInput if the model cannot generate, or not with these options.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        options: Mapping[str, Any],
        *,
        seed: int | None = None,
        special: bool = False,
        stops: Sequence[str] = (),
    ) -> None:
        from transformers import GenerationConfig

        if getattr(model, "generation_config", None) is None:
            kind = type(model).__name__
            raise InvalidInput(f"{kind} cannot generate; load it with AutoModelForCausalLM")
        settings = dict(options)
        self._model, self._tokenizer, self._seed = model, tokenizer, seed
        self._config = copy.deepcopy(settings.pop("generation_config", None)) or GenerationConfig()
        self._criteria = list(settings.pop("stopping_criteria", ()))
        try:
            # `update` returns the options that are no settings, but arguments of `generate`
            self._arguments = self._config.update(**settings, return_dict_in_generate=False)
        except ValueError as error:
            raise InvalidInput(f"invalid generation settings: {error}") from error
        for name in ("num_beams", "num_return_sequences"):
            if (self.setting(name) or 1) > 1:
                raise InvalidInput(
                    f"{name}={self.setting(name)} cannot be streamed as one reply; set {name}=1"
                )
        self.special = special
        self.stops = [*self._take_stop_strings(), *stops]
        if special:  # otherwise the reply would show the token that ends it
            self.stops += tokenizer.batch_decode([[end] for end in self._end_tokens()])

    def setting(self, name: str) -> Any:
        """Return a setting of the caller or else of the model; None if neither has it."""
        value = self._arguments.get(name, getattr(self._config, name, None))
        return getattr(self._model.generation_config, name, None) if value is None else value

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        *,
        criteria: Sequence[Any] = (),
        **arguments: Any,
    ) -> list[list[int]]:
        """Return the new tokens after each prompt, padded on the right to equal length."""
        import torch
        from transformers import StoppingCriteriaList

        width, pad = max(map(len, prompts)), self._pad_token()
        gaps = [width - len(prompt) for prompt in prompts]
        rows = [[pad] * gap + list(prompt) for gap, prompt in zip(gaps, prompts, strict=True)]
        mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
        device = _input_device(self._model)
        self._config.update(max_new_tokens=max_new_tokens, pad_token_id=pad)
        with torch.inference_mode(), self._seeded(device):
            out = self._model.generate(
                torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=self._config,
                stopping_criteria=StoppingCriteriaList([*self._criteria, *criteria]),
                **self._arguments,
                **arguments,
            )
        return [row[width:] for row in out.tolist()]

    def generate_texts(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """Return the replies to several prompts, generated as one batch."""
        width = max(map(len, prompts))

        def has_stopped(ids: Any) -> list[bool]:
            texts = self._tokenizer.batch_decode(ids[:, width:])
            return [any(stop in text for stop in self.stops) for text in texts]

        criteria = [stopping_criterion(has_stopped)] if self.stops else []
        rows = self(prompts, max_new_tokens, criteria=criteria)
        texts = self._tokenizer.batch_decode(rows, skip_special_tokens=not self.special)
        return [cut_at_stop(text, self.stops) for text in texts]

    def _end_tokens(self) -> list[int]:
        ends = self.setting("eos_token_id")
        return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)

    def _take_stop_strings(self) -> list[str]:
        """Move stop strings to `stops`; `generate` reads the whole vocabulary to find them."""
        stops = self.setting("stop_strings") or []
        self._config.stop_strings = None
        if self._model.generation_config.stop_strings:
            # `generate` searches for the model's own anyway, and needs the tokenizer for that
            self._arguments["tokenizer"] = self._tokenizer
        return [stops] if isinstance(stops, str) else list(stops)

    def _pad_token(self) -> int:
        """Return the token that fills gaps; the attention mask hides it from the model."""
        tokens = (self.setting("pad_token_id"), self._tokenizer.pad_token_id, *self._end_tokens())
        return next((token for token in tokens if token is not None), 0)

    @contextmanager
    def _seeded(self, device: Any) -> Iterator[None]:
        """Seed torch for the block and restore its random state afterwards."""
        import torch

        if self._seed is None:
            yield
            return
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self._seed)
            yield


def _input_device(model: Any) -> Any:
    """Return the device of the first layer, where the prompt's tokens have to be."""
    embeddings = model.get_input_embeddings()
    if embeddings.weight.device.type != "meta":
        return embeddings.weight.device
    import torch

    # the weights are offloaded: accelerate's hook brings them to this device
    return torch.device(embeddings._hf_hook.execution_device)
