"""Judges: whether two thoughts can both hold, where rules cannot tell. Both are optional.

What a judge cannot tell counts as no contradiction: both thoughts stay, and stay marked.
"""

import re
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput, ModelError
from memkit.protocols import Model

_MOST_CHARACTERS = 500  # of a sentence
_MOST_TOKENS = 8  # of a reply
_CONTRADICT = """1: {older}
2: {newer}
Does sentence 2 contradict sentence 1? Answer yes or no."""
_BOTH = """1: {older}
2: {newer}
Can both sentences be true at the same time? Answer yes or no."""
_EXAMPLES = (
    ("Ann lives in Oslo.", "Ann lives in Rome.", True),
    ("Ann has a dog.", "Ann likes tea.", False),
    ("Bob likes fish.", "Bob does not like fish.", True),
    ("Bob met Eve in May.", "Bob met Eve in June.", False),
)
_ANSWER = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


class ModelJudge:
    """Asks a language model, and once more the other way round: small ones always say the same.

    A contradiction is a "yes" to "does 2 contradict 1?" and a "no" to "can both be true?".
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def contradict(self, older: str, newer: str) -> bool:
        """Return whether the model clearly says so, both times; what it raises comes through."""
        pair = self._shown(older), self._shown(newer)
        return self._says(_CONTRADICT, pair, "yes", "no") and self._says(_BOTH, pair, "no", "yes")

    def _says(self, ask: str, pair: tuple[str, str], wanted: str, other: str) -> bool:
        """Return whether the model gives the answer that means a contradiction, and no other."""
        messages: list[dict[str, str]] = []
        for older, newer, contradict in _EXAMPLES:
            messages.append({"role": "user", "content": ask.format(older=older, newer=newer)})
            messages.append({"role": "assistant", "content": wanted if contradict else other})
        request = ask.format(older=pair[0], newer=pair[1])
        messages.append({"role": "user", "content": request})
        reply = "".join(self._model.stream(messages, max_new_tokens=_MOST_TOKENS))
        return {answer.lower() for answer in _ANSWER.findall(reply)} == {wanted}

    def _shown(self, text: str) -> str:
        return self._model.escape_role_markers(" ".join(text.split())[:_MOST_CHARACTERS])


class NLIJudge:
    """Asks a sequence classifier for natural language inference. Thread-safe.

    Args:
        model: hub id or folder of a transformers model, loaded at first use; or a loaded model.
        tokenizer: of a loaded model; with an id or folder, its own if left out.
        threshold: least probability of a contradiction, 0 to 1.
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, threshold: float = 0.5) -> None:
        if not 0 <= threshold <= 1:
            raise InvalidInput(f"threshold must be a probability, 0 to 1, got {threshold!r}")
        if tokenizer is None and not isinstance(model, str | Path):
            raise InvalidInput("a loaded model needs its tokenizer: NLIJudge(model, tokenizer)")
        self._given, self._tokenizer_given = model, tokenizer
        self._threshold = threshold
        self._lock = threading.Lock()  # fast tokenizers are not safe to share between threads

    def contradict(self, older: str, newer: str) -> bool:
        """Return whether the newer sentence contradicts the older with enough probability.

        Raises:
            ModelError: there is no such model, it names no contradiction, or it failed.
        """
        return self.probability(older, newer) >= self._threshold

    def probability(self, older: str, newer: str) -> float:
        """Return how likely the newer sentence contradicts the older, 0 to 1.

        Raises:
            ModelError: there is no such model, it names no contradiction, or it failed.
        """
        import torch

        with self._lock:
            model, tokenizer, label = self._loaded
            try:
                inputs = tokenizer(
                    older, newer, truncation=True, max_length=512, return_tensors="pt"
                )
                with torch.inference_mode():
                    logits = model(**inputs.to(model.device)).logits
            except (RuntimeError, ValueError, IndexError) as error:
                raise ModelError(f"the judge's model failed: {error}") from error
            return float(logits[0].float().softmax(-1)[label])

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        model, tokenizer = self._given, self._tokenizer_given
        if isinstance(model, str | Path):
            model, own = _load(str(model))
            tokenizer = own if tokenizer is None else tokenizer
        return model.eval(), tokenizer, _contradiction(model.config)


def _load(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    local = Path(name).is_dir()
    try:
        model = AutoModelForSequenceClassification.from_pretrained(name, local_files_only=local)
        return model, AutoTokenizer.from_pretrained(name, local_files_only=local)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no sequence-classification model at {name!r}: {error}; give a folder or a hub id of "
            "a model that was trained for natural language inference"
        ) from error


def _contradiction(config: Any) -> int:
    """Return the index of the label that says "contradiction"."""
    labels: dict[str, int] = config.label2id
    found = [n for label, n in labels.items() if "contradict" in label.casefold()]
    found = [n for label, n in labels.items() if label.casefold() == "contradiction"] or found
    if len(found) == 1:
        return int(found[0])
    raise ModelError(
        f"the model's labels are {', '.join(labels) or 'none'}, and not exactly one of them says "
        "contradiction; take a model trained for natural language inference, or name its labels: "
        'model.config.label2id = {"contradiction": 0, "neutral": 1, "entailment": 2}'
    )
