"""The commands inside `memkit chat`: lines that begin with a slash, and are never remembered."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from memkit.cli import output
from memkit.cli.deletion import confirm_deletion, count_parts, receipt_to_dict, select_turns

if TYPE_CHECKING:
    from memkit.chat import Chat, Remember

HELP = {
    "/help": "show this list",
    "/why": "show what memory put into the last prompt",
    "/thoughts": "show what memkit concluded from what you said",
    "/forget ID...": "delete a turn, or the turns of a thought; /why and /thoughts show the ids",
    "/undo": "delete the last question and its reply",
    "/save-off": "remember nothing from here on; /save-on ends this",
    "/quit": "end the chat",
    "//...": "send a message that begins with a slash: //etc is sent as /etc",
}


def unescape_slash(line: str) -> str:
    """Return the message of a line: "//etc" is the message "/etc"."""
    return line[1:] if line.startswith("//") else line


def is_command(line: str) -> bool:
    """Return whether a line is a command, and no message."""
    return line.startswith("/") and not line.startswith("//")


@dataclass
class SlashCommands:
    """Runs the commands of one chat."""

    chat: "Chat"
    as_json: bool
    interactive: bool  # whether somebody can be asked for a confirmation
    ended: bool = False  # /quit was typed
    _remember: "Remember" = field(init=False)  # what /save-on goes back to

    def __post_init__(self) -> None:
        self._remember = self.chat.remember

    def run(self, line: str) -> None:
        """Run a command, or say which ones there are."""
        name, *arguments = line.split()
        commands: dict[str, Callable[[], None]] = {
            "/help": self._help, "/why": self._why, "/thoughts": self._thoughts,
            "/undo": self._undo, "/save-off": self._save_off, "/save-on": self._save_on,
            "/quit": self._quit,
        }  # fmt: skip
        if name == "/forget" and arguments:
            self._forget(arguments)
        elif name in commands and not arguments:
            commands[name]()
        else:
            output.print_note(f"{line!r} is no command; it was not sent and not remembered")
            self._help()

    def _print(self, data: dict[str, Any], text: str) -> None:
        output.print_result(data, output.wrap(text, sys.stdout), as_json=self.as_json)

    def _help(self) -> None:
        lines = [f"{command:<14} {meaning}" for command, meaning in HELP.items()]
        output.print_result({"commands": HELP}, "\n".join(lines), as_json=self.as_json)

    def _quit(self) -> None:
        self.ended = True

    def _why(self) -> None:
        report = self.chat.report
        if self.as_json:
            output.print_json(report_to_dict(self.chat))
        elif report is None:
            self._print({}, "nothing has been asked yet")
        else:
            if report.prompt.hits:
                output.print_hits(report.prompt.hits, explain=True)
            else:
                self._print({}, "nothing was recalled")
            usage = report.usage
            self._print(
                {},
                f"prompt {usage.prompt_tokens} tokens, {usage.reused:.0%} reused, with "
                f"{report.prompt.history} messages of history; reply {usage.new_tokens} tokens, "
                f"the first after {usage.first_token_s:.1f} s, all after {usage.total_s:.1f} s",
            )

    def _thoughts(self) -> None:
        thoughts = self.chat.memory.thoughts(user_id=self.chat.scope.user_id)
        if self.as_json:
            output.print_json({"thoughts": [output.thought_to_dict(item) for item in thoughts]})
        elif thoughts:
            output.print_thoughts(thoughts)
        else:
            self._print({}, "no thoughts yet; they are drawn in the background")

    def _forget(self, prefixes: list[str]) -> None:
        memory, user_id = self.chat.memory, self.chat.scope.user_id
        turn_ids = select_turns(memory, user_id, prefixes)
        receipt = memory.forget(user_id=user_id, turn_ids=turn_ids, dry_run=True)
        if confirm_deletion(memory, receipt, yes=not self.interactive):
            receipt = memory.forget(user_id=user_id, turn_ids=turn_ids)
            self._print(receipt_to_dict(receipt), f"deleted {count_parts(receipt)}")

    def _undo(self) -> None:
        receipt = self.chat.undo()
        text = "took back the last question and its reply"
        stored = f", and deleted {count_parts(receipt)}" if receipt.turn_ids else ""
        self._print(receipt_to_dict(receipt), text + stored)

    def _save_off(self) -> None:
        self.chat.remember = "none"
        self._print({"remember": "none"}, "nothing is remembered from here on; /save-on ends this")

    def _save_on(self) -> None:
        self.chat.remember = "both" if self._remember == "none" else self._remember
        sides = "both sides are" if self.chat.remember == "both" else "your side is"
        self._print({"remember": self.chat.remember}, f"{sides} remembered from here on")


def report_to_dict(chat: "Chat") -> dict[str, object]:
    """Return what the last prompt was made of as a JSON object."""
    if chat.report is None:
        return {"usage": None, "history": 0, "hits": []}
    prompt = chat.report.prompt
    return {
        "usage": asdict(chat.report.usage),
        "history": prompt.history,
        "hits": [output.hit_to_dict(hit) for hit in prompt.hits],
    }
