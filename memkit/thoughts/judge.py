"""Judges decide whether two thoughts contradict each other. Optional.

An unclear answer counts as no contradiction: both thoughts hold.
"""

import re
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput, ModelError, hf_packages
from memkit.protocols import Model

_MOST_CHARACTERS = 500  # of a sentence
_MOST_TOKENS = 8  # of a reply
# The two requests of `ModelJudge`: a contradiction is "yes" to the first and "no" to the second.
_CONTRADICT = """1: {older}
2: {newer}
Does sentence 2 contradict sentence 1? Answer yes or no."""
_BOTH = """1: {older}
2: {newer}
Can both sentences be true at the same time? Answer yes or no."""
# older and newer sentence, and whether they contradict each other
_EXAMPLES = (
    ("Ann lives in Oslo.", "Ann lives in Rome.", True),
    ("Ann has a dog.", "Ann likes tea.", False),
    ("Bob likes fish.", "Bob does not like fish.", True),
    ("Bob met Eve in May.", "Bob met Eve in June.", False),
)
# the answers in a reply: "Yes." or "No, both can be true"
_ANSWER = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


class ModelJudge:
    """Ask a language model twice, with opposite questions.

    Small models tend to give the same answer to every question. So a contradiction needs a "yes" to
    "does 2 contradict 1?" and a "no" to "can both be true?".
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def contradict(self, older: str, newer: str) -> bool:
        """Return whether both answers of the model mean a contradiction.

        Errors of the model are not caught.
        """
        pair = self._escape(older), self._escape(newer)
        return self._ask(_CONTRADICT, pair, "yes", "no") and self._ask(_BOTH, pair, "no", "yes")

    def _ask(self, question: str, pair: tuple[str, str], positive: str, negative: str) -> bool:
        """Return whether the only answer in the reply is `positive`, meaning a contradiction."""
        messages: list[dict[str, str]] = []
        for older, newer, contradict in _EXAMPLES:
            messages.append({"role": "user", "content": question.format(older=older, newer=newer)})
            messages.append({"role": "assistant", "content": positive if contradict else negative})
        request = question.format(older=pair[0], newer=pair[1])
        messages.append({"role": "user", "content": request})
        reply = "".join(self._model.stream(messages, max_new_tokens=_MOST_TOKENS))
        return {answer.lower() for answer in _ANSWER.findall(reply)} == {positive}

    def _escape(self, text: str) -> str:
        """Return a sentence on one line, shortened, unable to open a role."""
        return self._model.escape_role_markers(" ".join(text.split())[:_MOST_CHARACTERS])


class NLIJudge:
    """Ask a sequence classifier for natural language inference. Thread-safe.

    Args:
        model: hub id or folder of a transformers model, loaded at first use; or a loaded model.
        tokenizer: required with a loaded model; with an id or folder, loaded from there if None.
        threshold: least probability of a contradiction, 0 to 1.
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, threshold: float = 0.5) -> None:
        if not 0 <= threshold <= 1:
            raise InvalidInput(f"threshold must be a probability, 0 to 1, got {threshold!r}")
        if tokenizer is None and not isinstance(model, str | Path):
            raise InvalidInput(
                "NLIJudge needs the tokenizer of a loaded model: NLIJudge(model, tokenizer)"
            )
        self._model, self._tokenizer = model, tokenizer
        self._threshold = threshold
        self._lock = threading.Lock()  # fast tokenizers are not safe to share between threads

    def contradict(self, older: str, newer: str) -> bool:
        """Return whether the probability reaches the threshold; errors as in `probability`."""
        return self.probability(older, newer) >= self._threshold

    def probability(self, older: str, newer: str) -> float:
        """Return how likely the newer sentence contradicts the older, 0 to 1.

        Raises:
            MissingExtra: torch or transformers is not installed.
            ModelError: there is no such model, it names no contradiction, or it failed.
        """
        with hf_packages("NLIJudge"):
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
        model, tokenizer = self._model, self._tokenizer
        if isinstance(model, str | Path):
            model, default_tokenizer = _load(str(model))
            tokenizer = default_tokenizer if tokenizer is None else tokenizer
        return model.eval(), tokenizer, _contradiction_label(model.config)


def _load(name: str) -> tuple[Any, Any]:
    with hf_packages("NLIJudge"):
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


def _contradiction_label(config: Any) -> int:
    """Return the index of the label "contradiction", or of the only one that contains it."""
    labels: dict[str, int] = config.label2id
    similar = [n for label, n in labels.items() if "contradict" in label.casefold()]
    exact = [n for label, n in labels.items() if label.casefold() == "contradiction"]
    matches = exact or similar
    if len(matches) == 1:
        return int(matches[0])
    raise ModelError(
        f"the model's labels are {', '.join(labels) or 'none'}, and not exactly one of them says "
        "contradiction; use a model trained for natural language inference, or set its labels: "
        'model.config.label2id = {"contradiction": 0, "neutral": 1, "entailment": 2}'
    )
