"""Each integration with an agent framework names the command that installs what it needs."""

import sys
from importlib import import_module

import pytest

from memkit.errors import MissingExtra

PACKAGES = {
    "openai_agents": ("agents.items", "openai-agents"),
    "llama_index": ("llama_index.core.base.llms.types", "llama-index"),
    "agent_framework": ("agent_framework", "agent-framework"),
    "google_adk": ("google.adk.events", "google-adk"),
}


@pytest.mark.parametrize("module", PACKAGES)
def test_a_missing_framework_is_told_with_its_install_line(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, extra = PACKAGES[module]
    name = f"memkit.integrations.{module}"
    monkeypatch.setitem(sys.modules, package, None)  # not importable
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtra, match=rf"pip install 'memkit-llm\[{extra}\]'"):
        import_module(name)
