"""The model that answers for every system alike: one frozen prompt, greedy, and its likelihoods."""

import copy
import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evals.card.config import JudgeSpec, ModelSpec
from memkit.errors import InvalidInput
from memkit.protocols import Messages, Model

_FROM_NOTES = (
    "Answer the question in a few words, from the notes. "
    "If the notes do not say it, answer: I don't know."
)
_FROM_NOTHING = "Answer the question in a few words. If you do not know it, answer: I don't know."
_CONTINUE = "Continue this sentence, from the notes if they have it. Write only what follows."
_NOTES, _ASKED, _SENTENCE = "Notes:\n{}\n\n", "Question: {}\nAnswer:", "Sentence: {}"
PROMPT_SHA256 = hashlib.sha256(
    "\n".join([_FROM_NOTES, _FROM_NOTHING, _CONTINUE, _NOTES, _ASKED, _SENTENCE]).encode()
).hexdigest()  # part of every card: two cards of different prompts do not compare


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model said, and what that took."""

    text: str
    prompt_tokens: int
    reused_tokens: int
    new_tokens: int
    seconds: float


def question(text: str, notes: str, model: Model) -> list[dict[str, str]]:
    """Return the prompt of a question; notes cannot open a role in it."""
    return _prompt(_FROM_NOTES if notes else _FROM_NOTHING, notes, _ASKED.format(text), model)


def sentence(cue: str, notes: str, model: Model) -> list[dict[str, str]]:
    """Return the prompt that has a half sentence completed."""
    return _prompt(_CONTINUE, notes, _SENTENCE.format(cue), model)


def _prompt(system: str, notes: str, asked: str, model: Model) -> list[dict[str, str]]:
    shown = _NOTES.format(notes) if notes else ""
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": model.escape_role_markers(shown + asked)},
    ]


def reply(model: Model, messages: Messages, new_tokens: int) -> Reply:
    """Return the model's reply.

    Raises:
        ModelError: the model failed.
    """
    with closing(model.stream(messages, max_new_tokens=new_tokens)) as pieces:
        text = "".join(pieces).strip()
    used = model.usage
    return Reply(
        text=text,
        prompt_tokens=used.prompt_tokens if used else model.count(messages),
        reused_tokens=used.reused_tokens if used else 0,
        new_tokens=used.new_tokens if used else 0,
        seconds=used.total_s if used else 0.0,
    )


def losses(model: Model, messages: Messages, texts: Sequence[str]) -> list[float] | None:
    """Return how unlikely each text is as the reply: mean negative log-likelihood per token.

    None for a model whose likelihoods cannot be read: one behind an endpoint. The prompt is
    computed once, each text on a copy of its keys and values.
    """
    from memkit.models.huggingface import HuggingFaceModel

    if not isinstance(model, HuggingFaceModel):
        return None
    import torch

    with torch.inference_mode():
        prompt = torch.tensor([model.encode(messages)], device=model.model.device)
        read = model.model(prompt, use_cache=True)
        return [_loss(model, read, text) for text in texts]


def _loss(model: Any, read: Any, text: str) -> float:
    """Return one text's loss behind a prompt that was read."""
    import torch

    tokens = model.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    tokens = tokens.to(model.model.device)
    if not tokens.shape[1]:
        raise InvalidInput(f"no likelihood of {text!r}: it has no tokens")
    past = copy.deepcopy(read.past_key_values)
    logits = [read.logits[:, -1:]]
    if tokens.shape[1] > 1:
        logits.append(model.model(tokens[:, :-1], past_key_values=past, use_cache=True).logits)
    spread = torch.cat(logits, dim=1).float()[0]
    return float(torch.nn.functional.cross_entropy(spread, tokens[0]))


@lru_cache(maxsize=2)  # one to answer and one to judge, once per process
def load(spec: ModelSpec | JudgeSpec) -> Model:
    """Return the model that a config names.

    Raises:
        InvalidInput: it names none.
        MissingExtra: what it needs is not installed.
    """
    if spec.kind == "openai":
        from memkit.models.openai import OpenAIModel

        return OpenAIModel(spec.name, base_url=spec.base_url, temperature=0, seed=0)
    from memkit.models.huggingface import HuggingFaceModel

    if spec.kind == "smollm2":
        from memkit.models.bundled import smollm2

        return HuggingFaceModel(*smollm2(), do_sample=False)
    if not spec.name:
        raise InvalidInput('a model of kind "huggingface" needs a name: a path or an id')
    return HuggingFaceModel.from_pretrained(
        spec.name, revision=spec.revision or "main", do_sample=False
    )
