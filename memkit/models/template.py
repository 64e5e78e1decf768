"""Messages in, a model's own prompt out; with a chat template or without one."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from memkit.errors import InvalidInput, ModelError
from memkit.prompt import escape_role_markers
from memkit.protocols import Messages

PLAIN_STOP = ("\nUser:", "\nAssistant:")  # where a reply ends that no template ends
_PLAIN = {"system": "", "user": "User: ", "assistant": "Assistant: "}
_PLAIN_ROLE = re.compile(r"(?m)^(\s*)(User|Assistant):")
_BRACKETED = re.compile(r"<+[^<>]+>+|\[[^][]+\]")  # of "</s><s>[INST]", each mark alone
_PROBES = {"system": "aXsYsTeMx", "user": "aXuSeRx", "assistant": "aXaSsIsTx"}


class Template:
    """How a tokenizer's model is asked.

    Args:
        tokenizer: with a chat template or without.
        tools: what the template shows to the model.
        options: what else the template takes.

    Raises:
        InvalidInput: the model would never see the tools.
    """

    def __init__(self, tokenizer: Any, tools: Sequence[Any], options: Mapping[str, Any]) -> None:
        self._tokenizer, self._tools, self._options = tokenizer, list(tools), dict(options)
        if tools:
            self._check_tools()

    @property
    def is_plain(self) -> bool:
        """Whether there is no chat template, so that roles are written as plain lines."""
        return self._tokenizer.chat_template is None

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the chat template shows a system message as given."""
        if self.is_plain:
            return True
        try:
            shown = self._apply(_probe("system", "user"))
        except ModelError:
            return False
        return _PROBES["system"] in shown

    @cached_property
    def marks(self) -> "re.Pattern[str] | None":
        """What opens or closes a role in this model's prompts: special tokens, template text."""
        found = set(self._tokenizer.all_special_tokens)
        found |= {
            str(token.content)
            for token in self._tokenizer.added_tokens_decoder.values()
            if token.special
        }
        if not self.is_plain:
            roles = ["user", "assistant", "user"]
            shown = self._apply(_probe(*(["system"] if self.has_system_role else []), *roles))
            before, *between = re.split("|".join(_PROBES.values()), shown)
            # only the first line of what stands first: templates put notes of their own below
            parts = " ".join([*before.strip().splitlines()[:1], *between]).split()
            for part in parts:
                found |= set(_BRACKETED.findall(part) or re.findall(r".*\W.*", part))
        bare = {mark.strip() for mark in found}
        kept = sorted((mark for mark in bare if len(mark) > 1), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, kept))) if kept else None

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with a space inside everything that could open or close a role."""
        if self.is_plain:
            text = _PLAIN_ROLE.sub(r"\1\2 :", text)
        return escape_role_markers(text, self.marks)

    def render(self, messages: Messages) -> str:
        """Return the prompt up to where the reply begins."""
        if self.is_plain:
            lines = [_PLAIN[message["role"]] + message["content"] for message in messages]
            return "\n".join([*lines, "Assistant:"])
        if messages and messages[0]["role"] == "system" and not self.has_system_role:
            messages = _fold_system(messages)
        return self._apply(messages, self._tools)

    def encode(self, messages: Messages) -> list[int]:
        """Return the prompt's tokens; templates write their own special tokens."""
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
        from transformers.utils import chat_template_utils as problems

        asked = _probe("user")
        if self.is_plain:
            raise InvalidInput("this model has no chat template to show tools in; leave them out")
        try:
            shown = self._apply(asked, self._tools)
        except (
            problems.DocstringParsingException, problems.TypeHintParsingException, ValueError
        ) as error:  # fmt: skip
            raise InvalidInput(
                f"a tool is a JSON schema, or a function with types and a docstring: {error}"
            ) from error
        if shown == self._apply(asked):
            raise InvalidInput("this model's chat template shows no tools; leave them out")


def _probe(*roles: str) -> Messages:
    return [{"role": role, "content": _PROBES[role]} for role in roles]


def _fold_system(messages: Messages) -> Messages:
    """Put the system text in front of the first user message, for templates without the role."""
    system, first, *rest = messages
    content = f"{system['content']}\n\n{first['content']}"
    return [{"role": "user", "content": content}, *rest]
