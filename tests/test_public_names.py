"""Code written for memkit 0.4.0 imports what it imported then."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from memkit import _moved

LINES = (Path(__file__).parent / "data" / "public_names_0_4_0.txt").read_text().splitlines()
PUBLIC = {line.split()[0]: line.split()[1:] for line in LINES if not line.startswith("#")}


@pytest.mark.parametrize("module", PUBLIC)
def test_a_module_of_0_4_0_has_all_its_public_names(module: str) -> None:
    missing = [name for name in PUBLIC[module] if not hasattr(import_module(module), name)]
    assert missing == []


@pytest.mark.parametrize("module", _moved.tables()["modules"])
def test_a_module_that_moved_imports_under_its_old_name(module: str) -> None:
    assert import_module(module)


def test_an_old_module_has_no_other_names() -> None:
    import memkit.compact

    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        memkit.compact.nothing_of_this_name  # noqa: B018


def test_a_folder_left_over_from_a_checkout_of_0_4_0_hides_no_old_name(tmp_path: Path) -> None:
    (tmp_path / "show" / "__pycache__").mkdir(parents=True)
    code = (
        f"import memkit; memkit.__path__.insert(0, {str(tmp_path)!r});"
        "import memkit.show; assert memkit.show.Shown"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
