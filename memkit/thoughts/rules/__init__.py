"""A thinker for English that needs no language model."""

from memkit.thoughts.rules.thinker import RuleThinker

__all__ = ["RuleThinker"]
