"""Run the notebooks from start to end, each in a kernel of its own, and keep what they show.

python notebooks/run.py [--out FOLDER] [NAME …]
"""

import argparse
import base64
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
_SECONDS = 600  # most of a cell
_QUIET = {  # progress bars are for who waits, and not for who reads
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
}


def run(file: Path) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of a fresh run.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(
        notebook,
        resources={"metadata": {"path": str(file.parent)}},
        timeout=_SECONDS,
        record_timing=False,
        coalesce_streams=True,
    ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            _keep_what_is_seen(output)
    notebook.metadata.pop("language_info", None)  # the version of Python that ran it
    return notebook


def _keep_what_is_seen(output: nbformat.NotebookNode) -> None:
    """Drop the plain text beside a table or a picture: nobody sees it, and it holds addresses."""
    data = output.get("data", {})
    if len(data) > 1:
        data.pop("text/plain", None)


def _keep_first_picture(notebook: nbformat.NotebookNode, file: Path) -> None:
    """Write a notebook's first picture to a file: a page of the docs shows it."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    pictures = (one["data"]["image/png"] for one in outputs if "image/png" in one.get("data", {}))
    file.write_bytes(base64.b64decode(next(pictures)))


def main() -> None:
    """Run the notebooks that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks without .ipynb; all if left out")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write them to")
    chosen = parser.parse_args()
    os.environ.update(_QUIET)
    for name in chosen.names or sorted(file.stem for file in HERE.glob("*.ipynb")):
        notebook = run(HERE / f"{name}.ipynb")
        nbformat.write(notebook, chosen.out / f"{name}.ipynb")
        if name == "inside_the_memory":
            _keep_first_picture(notebook, chosen.out / "attention.png")


if __name__ == "__main__":
    main()
