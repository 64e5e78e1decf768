"""What happens to secrets and personal data in a message before it is stored.

Everything else (chunks, vectors, full text, thoughts, summaries) is made of the stored words, so
this is the only place that has to know. By default they are flagged: nothing of a user's words is
changed or lost, and `memkit privacy scan` lists the turns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from memkit.errors import InvalidInput, MessageBlocked
from memkit.govern.detector import Detector, Span
from memkit.govern.patterns import PatternDetector
from memkit.records import Turn

Action = Literal["off", "flag", "redact", "block"]  # from the mildest to the strictest


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """Which secrets and personal data are stored.

    "off": as they are. "flag": as they are, and the turn's `flags` name their kinds. "redact": a
    marker such as "[card number removed]" is stored in their place. "block": the message is
    rejected. `actions` are those of single kinds, `default` that of all others:
    `Privacy(default="flag", actions={"secret": "block", "email_address": "off"})`.

    A turn's text, name, metadata and tags are searched, and its ids are not.

    Raises:
        InvalidInput: an action is unknown, or a kind that no detector finds.
    """

    default: Action = "flag"
    actions: Mapping[str, Action] = field(default_factory=dict, hash=False)
    detectors: Sequence[Detector] = (PatternDetector(),)

    def __post_init__(self) -> None:
        for action in (self.default, *self.actions.values()):
            if action not in get_args(Action):
                raise InvalidInput(
                    f"{action!r} is no action of a privacy policy; there are "
                    f"{', '.join(get_args(Action))}"
                )
        kinds = {kind for detector in self.detectors for kind in detector.kinds}
        if unknown := sorted(set(self.actions) - kinds):
            raise InvalidInput(
                f"no detector finds {', '.join(unknown)}; there are {', '.join(sorted(kinds))}"
            )

    def apply(self, turn: Turn) -> Turn:
        """Return the turn as it may be stored.

        Raises:
            MessageBlocked: it has something that the policy blocks; says what and where.
        """
        if self.default == "off" and not self.actions:
            return turn
        found: set[str] = set(turn.flags)
        text = self._apply(turn.text, "text", found)
        name = self._apply(turn.name, "name", found) if turn.name else turn.name
        metadata = self._apply_to_json(turn.metadata, found) if turn.metadata else turn.metadata
        tags = tuple(self._apply(tag, "tags", found) for tag in turn.tags)
        if not found:
            return turn
        return replace(
            turn, text=text, name=name, metadata=metadata, tags=tags, flags=tuple(sorted(found))
        )

    def find(self, text: str) -> list[Span]:
        """Return the spans of a text that the policy does not leave alone, in order.

        Spans of one kind that overlap are joined.
        """
        spans = [span for detector in self.detectors for span in detector.find(text)]
        joined: list[Span] = []
        for span in sorted(spans, key=lambda span: (span.kind, span.start)):
            last = joined[-1] if joined else None
            if last is not None and last.kind == span.kind and span.start < last.end:
                joined[-1] = replace(last, end=max(last.end, span.end))
            elif self._action(span) != "off":
                joined.append(span)
        return sorted(joined, key=lambda span: span.start)

    def _action(self, span: Span) -> Action:
        return self.actions.get(span.kind, self.default)

    def _apply(self, text: str, field_name: str, found: set[str]) -> str:
        """Return a text as it may be stored, and add what it has to `found`."""
        spans = self.find(text)
        found |= {span.kind for span in spans}
        blocked = [span for span in spans if self._action(span) == "block"]
        if blocked:
            raise MessageBlocked(
                field_name, tuple((span.kind, span.start, span.end) for span in blocked)
            )
        return redact(text, [span for span in spans if self._action(span) == "redact"])

    def _apply_to_json(self, value: Any, found: set[str]) -> Any:
        if isinstance(value, str):
            return self._apply(value, "metadata", found)
        if isinstance(value, Mapping):
            return {key: self._apply_to_json(item, found) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._apply_to_json(item, found) for item in value]
        return value


def redact(text: str, spans: Iterable[Span]) -> str:
    """Return a text with a marker in place of each span; of spans that overlap, one for all.

    >>> redact("call +49 30 901820 now", [Span(kind="phone_number", start=5, end=18)])
    'call [phone number removed] now'
    """
    pieces: list[str] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            pieces += [text[end : span.start], f"[{span.kind.replace('_', ' ')} removed]"]
        end = max(end, span.end)
    return "".join([*pieces, text[end:]])


def resolve_privacy(privacy: Privacy | Action | None) -> Privacy:
    """Return the policy for what `memkit.open` takes; None is the default."""
    return privacy if isinstance(privacy, Privacy) else Privacy(default=privacy or "flag")
