"""Check a software bill of materials: it lists what memkit needs at run time, and nothing else.

python tools/check_sbom.py dist/sbom.cdx.json
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def find_faults(sbom: dict[str, Any], project: dict[str, Any]) -> list[str]:
    """Return what is wrong with an SBOM in CycloneDX's JSON, for a `project` of pyproject.toml."""
    root = sbom["metadata"]["component"]
    needs = {item["ref"]: item.get("dependsOn", []) for item in sbom["dependencies"]}
    names = {item["bom-ref"]: normalise(item["name"]) for item in sbom["components"]}
    names[root["bom-ref"]] = normalise(root["name"])
    direct = {names[ref] for ref in needs[root["bom-ref"]]}
    declared = {normalise(re.split(r"[^\w.-]", text)[0]) for text in project["dependencies"]}
    reached = reach(root["bom-ref"], needs)
    unneeded = {name for ref, name in names.items() if ref not in reached}
    faults = []
    if (root["name"], root["version"]) != (project["name"], project["version"]):
        faults.append(f"it is of {root['name']} {root['version']}")
    if declared - direct:
        faults.append(f"it lacks {', '.join(sorted(declared - direct))}")
    if unneeded:
        faults.append(f"it lists what memkit does not need: {', '.join(sorted(unneeded))}")
    return faults


def reach(ref: str, needs: dict[str, list[str]]) -> set[str]:
    """Return the components that `ref` needs, directly or not, and itself."""
    reached, waiting = set(), [ref]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += needs.get(current, [])
    return reached


def normalise(name: str) -> str:
    """Return a package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(path: str) -> int:
    """Print the faults of an SBOM; return the exit code."""
    sbom = json.loads(Path(path).read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    faults = find_faults(sbom, project)
    summary = f"the SBOM lists the {len(sbom['components'])} components that memkit needs"
    print("\n".join(faults) or summary)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
