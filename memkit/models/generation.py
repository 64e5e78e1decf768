"""How a transformers model generates: its own settings, and those given on top of them."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from memkit.errors import InvalidInput
from memkit.models.running import cut


class Generation:
    """A causal LM, ready to continue tokens.

    Args:
        model: a loaded causal LM.
        tokenizer: its tokenizer.
        given: what `model.generate` takes, a generation config among it or not.
        seed: where every sampled reply starts from; None: from wherever torch stands.
        special: whether special tokens belong to a reply.
        stops: texts that end a reply, beside those of the settings.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        given: Mapping[str, Any],
        *,
        seed: int | None = None,
        special: bool = False,
        stops: Sequence[str] = (),
    ) -> None:
        from transformers import GenerationConfig

        if getattr(model, "generation_config", None) is None:
            kind = type(model).__name__
            raise InvalidInput(f"{kind} generates nothing; load it with AutoModelForCausalLM")
        options = dict(given)
        self._model, self._tokenizer, self._seed = model, tokenizer, seed
        self._config = copy.deepcopy(options.pop("generation_config", None)) or GenerationConfig()
        self._criteria = list(options.pop("stopping_criteria", ()))
        # what is left over is no setting of a config, but an argument of `generate`
        try:
            self._options = self._config.update(**options, return_dict_in_generate=False)
        except ValueError as error:
            raise InvalidInput(f"these settings are no way to generate: {error}") from error
        for name in ("num_beams", "num_return_sequences"):
            if (self.setting(name) or 1) > 1:
                raise InvalidInput(f"a reply is one text, streamed as it is made: set {name}=1")
        self.special = special
        self.stops = [*self._stop_strings(), *stops]
        if special:  # where they are shown, the one that ends a reply would be
            self.stops += tokenizer.batch_decode([[end] for end in self._ends()])

    def setting(self, name: str) -> Any:
        """Return a setting as it was given, or else as the model has it; None if nobody says."""
        given = self._options.get(name, getattr(self._config, name, None))
        return getattr(self._model.generation_config, name, None) if given is None else given

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        *,
        criteria: Sequence[Any] = (),
        **options: Any,
    ) -> list[list[int]]:
        """Return the new tokens behind each prompt, padded on the right to one length."""
        import torch

        width, pad = max(map(len, prompts)), self._pad()
        gaps = [width - len(prompt) for prompt in prompts]
        rows = [[pad] * gap + list(prompt) for gap, prompt in zip(gaps, prompts, strict=True)]
        mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
        device = _device(self._model)
        self._config.update(max_new_tokens=max_new_tokens, pad_token_id=pad)
        with torch.inference_mode(), self._seeded(device):
            out = self._model.generate(
                torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=self._config,
                stopping_criteria=_listed([*self._criteria, *criteria]),
                **self._options,
                **options,
            )
        return [row[width:] for row in out.tolist()]

    def several(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """Return the replies to some prompts, generated together."""
        width = max(map(len, prompts))
        criteria = [_said(partial(self._has_stopped, width))] if self.stops else []
        return [self._text(row) for row in self(prompts, max_new_tokens, criteria=criteria)]

    def _has_stopped(self, width: int, rows: Sequence[Sequence[int]]) -> list[bool]:
        texts = self._tokenizer.batch_decode([row[width:] for row in rows])
        return [any(stop in text for stop in self.stops) for text in texts]

    def _text(self, tokens: Sequence[int]) -> str:
        return cut(self._tokenizer.decode(tokens, skip_special_tokens=not self.special), self.stops)

    def _ends(self) -> list[int]:
        ends = self.setting("eos_token_id")
        return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)

    def _stop_strings(self) -> list[str]:
        """Take them over: to find them `generate` would read the whole vocabulary first."""
        stops = self.setting("stop_strings") or []
        self._config.stop_strings = None
        if self._model.generation_config.stop_strings:
            self._options["tokenizer"] = self._tokenizer  # which it does anyway for the model's own
        return [stops] if isinstance(stops, str) else list(stops)

    def _pad(self) -> int:
        """Return the token that fills gaps; none is ever looked at."""
        known = (self.setting("pad_token_id"), self._tokenizer.pad_token_id, *self._ends())
        return next((token for token in known if token is not None), 0)

    @contextmanager
    def _seeded(self, device: Any) -> Iterator[None]:
        import torch

        if self._seed is None:
            yield
            return
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self._seed)
            yield


def _device(model: Any) -> Any:
    """Return where a prompt has to lie: where the first layer is computed."""
    first = model.get_input_embeddings()
    if first.weight.device.type != "meta":
        return first.weight.device
    import torch

    return torch.device(first._hf_hook.execution_device)  # offloaded: accelerate brings it there


def _listed(criteria: Sequence[Any]) -> Any:
    from transformers import StoppingCriteriaList

    return StoppingCriteriaList(criteria)


def _said(has_stopped: Any) -> Any:
    """Return a stopping criterion that looks at each row's tokens."""
    import torch
    from transformers import StoppingCriteria

    class Said(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
            return torch.tensor(has_stopped(input_ids.tolist()), device=input_ids.device)

    return Said()
