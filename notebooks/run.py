"""Run the notebooks from start to end, each in a new kernel, and save their outputs.

python notebooks/run.py [--out FOLDER] [NAME …]
"""

import argparse
import base64
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
_CELL_TIMEOUT_S = 600
_ENVIRONMENT = {  # no progress bars in the outputs
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
}


def run(file: Path) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of a new run.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(
        notebook,
        resources={"metadata": {"path": str(file.parent)}},
        timeout=_CELL_TIMEOUT_S,
        record_timing=False,
        coalesce_streams=True,
    ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            _drop_plain_text(output)
    notebook.metadata.pop("language_info", None)  # it has the version of Python
    return notebook


def _drop_plain_text(output: nbformat.NotebookNode) -> None:
    """Drop the plain text of a table or a picture: it is never shown, and has memory addresses."""
    data = output.get("data", {})
    if len(data) > 1:
        data.pop("text/plain", None)


def _save_first_picture(notebook: nbformat.NotebookNode, file: Path) -> None:
    """Write a notebook's first picture to a file, for a page of the docs."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    data = (output.get("data", {}) for output in outputs)
    png = next(formats["image/png"] for formats in data if "image/png" in formats)
    file.write_bytes(base64.b64decode(png))


def main() -> None:
    """Run the notebooks named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks without .ipynb; default: all")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write them to")
    arguments = parser.parse_args()
    os.environ.update(_ENVIRONMENT)
    for name in arguments.names or sorted(file.stem for file in HERE.glob("*.ipynb")):
        notebook = run(HERE / f"{name}.ipynb")
        nbformat.write(notebook, arguments.out / f"{name}.ipynb")
        if name == "inside_the_memory":
            _save_first_picture(notebook, arguments.out / "attention.png")


if __name__ == "__main__":
    main()
