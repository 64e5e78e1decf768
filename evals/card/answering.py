"""Prompt the model that answers for every system: one fixed prompt, greedy, and likelihoods."""

import copy
import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evals.card.config import JudgeSpec
from memkit.errors import InvalidInput
from memkit.protocols import Messages, Model
from memkit.records import Usage

_FROM_NOTES = (
    "Answer the question in a few words, from the notes. "
    "If the notes do not say it, answer: I don't know."
)
_FROM_NOTHING = "Answer the question in a few words. If you do not know it, answer: I don't know."
_CONTINUE = "Continue this sentence, from the notes if they have it. Write only what follows."
_NOTES, _QUESTION, _SENTENCE = "Notes:\n{}\n\n", "Question: {}\nAnswer:", "Sentence: {}"
PROMPT_SHA256 = hashlib.sha256(
    "\n".join([_FROM_NOTES, _FROM_NOTHING, _CONTINUE, _NOTES, _QUESTION, _SENTENCE]).encode()
).hexdigest()  # part of every card: cards of different prompts are not comparable


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply of the model, with its tokens and its time under the names of `Record.costs`."""

    text: str
    costs: dict[str, float]


def question(text: str, notes: str, model: Model) -> list[dict[str, str]]:
    """Return the prompt of a question; role markers in the notes are escaped."""
    return _prompt(_FROM_NOTES if notes else _FROM_NOTHING, notes, _QUESTION.format(text), model)


def sentence(cue: str, notes: str, model: Model) -> list[dict[str, str]]:
    """Return the prompt that asks the model to complete half a sentence."""
    return _prompt(_CONTINUE, notes, _SENTENCE.format(cue), model)


def _prompt(system: str, notes: str, request: str, model: Model) -> list[dict[str, str]]:
    notes = _NOTES.format(notes) if notes else ""
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": model.escape_role_markers(notes + request)},
    ]


def reply(model: Model, messages: Messages, new_tokens: int) -> Reply:
    """Return the model's reply.

    Raises:
        ModelError: the model failed.
    """
    with closing(model.stream(messages, max_new_tokens=new_tokens)) as pieces:
        text = "".join(pieces).strip()
    usage = model.usage or Usage(
        prompt_tokens=model.count(messages), reused_tokens=0, new_tokens=0,
        first_token_s=0.0, total_s=0.0,
    )  # fmt: skip
    costs = {
        "answer ms": 1000 * usage.total_s,
        "prompt tokens": float(usage.prompt_tokens),
        "reused tokens": float(usage.reused_tokens),
        "new tokens": float(usage.new_tokens),
    }
    return Reply(text=text, costs=costs)


def losses(model: Model, messages: Messages, texts: Sequence[str]) -> list[float] | None:
    """Return the loss of each text as the reply: mean negative log-likelihood per token.

    None for a model behind an endpoint, which returns no likelihoods. The prompt is computed once,
    and each text on a copy of its keys and values.
    """
    from memkit.models.huggingface import HuggingFaceModel

    if not isinstance(model, HuggingFaceModel):
        return None
    import torch

    with torch.inference_mode():
        prompt = torch.tensor([model.encode(messages)], device=model.model.device)
        output = model.model(prompt, use_cache=True)
        return [_loss(model, output, text) for text in texts]


def _loss(model: Any, prompt_output: Any, text: str) -> float:
    """Return the loss of a text after a prompt that the model has processed."""
    import torch

    tokens = model.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    tokens = tokens.to(model.model.device)
    if not tokens.shape[1]:
        raise InvalidInput(f"no likelihood of {text!r}: it has no tokens; give a text with words")
    past = copy.deepcopy(prompt_output.past_key_values)
    logits = [prompt_output.logits[:, -1:]]
    if tokens.shape[1] > 1:
        logits.append(model.model(tokens[:, :-1], past_key_values=past, use_cache=True).logits)
    scores = torch.cat(logits, dim=1).float()[0]
    return float(torch.nn.functional.cross_entropy(scores, tokens[0]))


@lru_cache(maxsize=2)  # the answering model and the judge, once per process
def load(spec: JudgeSpec) -> Model:
    """Return the model that a config names.

    Raises:
        InvalidInput: the config names no model.
        MissingExtra: a package that it needs is not installed.
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
