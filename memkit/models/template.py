"""Turn messages into a model's prompt, with its chat template or without one."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from memkit._moved import serve_old_names
from memkit.errors import InvalidInput, ModelError
from memkit.protocols import Messages
from memkit.text.role_markers import escape_role_markers, fold

PLAIN_STOPS = ("\nUser:", "\nAssistant:")  # end a reply of a model without a chat template
_PLAIN_PREFIX = {"system": "", "user": "User: ", "assistant": "Assistant: "}
_PLAIN_ROLE = re.compile(r"(?m)^(\s*)(User|Assistant):")  # "User:" at the start of a line
# one marker in a run of them: "</s>", "<s>" and "[INST]" in "</s><s>[INST]"
_BRACKETED = re.compile(r"<+[^<>]+>+|\[[^][]+\]")
# message texts that no template contains: the text around them in a prompt is the template's own
_PROBES = {"system": "aXsYsTeMx", "user": "aXuSeRx", "assistant": "aXaSsIsTx"}


class Template:
    """Renders and encodes prompts for one tokenizer, with a chat template or without.

    `tools` are functions or JSON schemas that the template shows to the model; InvalidInput if it
    cannot. `options` are further arguments of the template.
    """

    def __init__(self, tokenizer: Any, tools: Sequence[Any], options: Mapping[str, Any]) -> None:
        self._tokenizer, self._tools, self._options = tokenizer, list(tools), dict(options)
        if tools:
            self._check_tools()

    @property
    def is_plain(self) -> bool:
        """Whether the tokenizer has no chat template; roles are then written as "User: …"."""
        return self._tokenizer.chat_template is None

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the chat template renders a system message."""
        if self.is_plain:
            return True
        try:
            prompt = self._apply(_probe("system", "user"))
        except ModelError:
            return False
        return _PROBES["system"] in prompt

    @cached_property
    def role_markers(self) -> "re.Pattern[str] | None":
        """A pattern for whatever opens or closes a role: special tokens and template text."""
        tokenizer = self._tokenizer
        markers = set(tokenizer.all_special_tokens)
        markers |= {
            str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special
        }
        if not self.is_plain:
            roles = ["user", "assistant", "user"]
            prompt = self._apply(_probe(*(["system"] if self.has_system_role else []), *roles))
            before, *between = re.split("|".join(_PROBES.values()), prompt)
            # of the text before the first message only its first line: templates add notes below
            parts = " ".join([*before.strip().splitlines()[:1], *between]).split()
            for part in parts:
                # a bracketed marker, or else any part with punctuation such as "USER:"
                markers |= set(_BRACKETED.findall(part) or re.findall(r".*\W.*", part))
        stripped = {fold(marker).strip() for marker in markers}
        longest_first = sorted((m for m in stripped if len(m) > 1), key=len, reverse=True)
        flags = re.IGNORECASE if _lowers_case(tokenizer) else re.NOFLAG
        return re.compile("|".join(map(re.escape, longest_first)), flags) if longest_first else None

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with a space inside everything that could open or close a role."""
        if self.is_plain:
            text = _PLAIN_ROLE.sub(r"\1\2 :", text)
        return escape_role_markers(text, self.role_markers) if self.role_markers else text

    def render(self, messages: Messages) -> str:
        """Return the prompt's text up to where the reply begins."""
        if self.is_plain:
            lines = [_PLAIN_PREFIX[message["role"]] + message["content"] for message in messages]
            return "\n".join([*lines, "Assistant:"])
        if messages and messages[0]["role"] == "system" and not self.has_system_role:
            system, first, *later = messages  # the system text goes before the first question
            content = f"{system['content']}\n\n{first['content']}"
            messages = [{"role": "user", "content": content}, *later]
        return self._apply(messages, self._tools)

    def encode(self, messages: Messages) -> list[int]:
        """Return the prompt's token ids; a chat template writes its own special tokens."""
        text = self.render(messages)
        ids: list[int] = self._tokenizer(text, add_special_tokens=self.is_plain)["input_ids"]
        return ids

    def _apply(self, messages: Messages, tools: Sequence[Any] = ()) -> str:
        import jinja2

        try:
            prompt: str = self._tokenizer.apply_chat_template(
                list(messages), tools=list(tools) or None, tokenize=False,
                add_generation_prompt=True, **self._options,
            )  # fmt: skip
        except jinja2.TemplateError as error:
            raise ModelError(f"the model's chat template failed: {error}") from error
        return prompt

    def _check_tools(self) -> None:
        from transformers.utils import chat_template_utils

        if self.is_plain:
            raise InvalidInput("this model has no chat template to show tools in; leave them out")
        probe = _probe("user")
        try:
            with_tools = self._apply(probe, self._tools)
        except (
            chat_template_utils.DocstringParsingException,
            chat_template_utils.TypeHintParsingException,
            ValueError,
        ) as error:
            raise InvalidInput(
                f"a tool must be a JSON schema, or a function with types and a docstring: {error}"
            ) from error
        if with_tools == self._apply(probe):
            raise InvalidInput("this model's chat template does not show tools; leave them out")


def _lowers_case(tokenizer: Any) -> bool:
    """Return whether a tokenizer reads "<|IM_START|>" as "<|im_start|>"."""
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    return normalizer is not None and normalizer.normalize_str("A") == "a"


def _probe(*roles: str) -> Messages:
    return [{"role": role, "content": _PROBES[role]} for role in roles]


serve_old_names(__name__)
