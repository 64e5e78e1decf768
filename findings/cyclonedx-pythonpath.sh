#!/bin/sh
# cyclonedx-bom 7.5.0 (PyPI): `cyclonedx-py environment PYTHON` also lists the packages in the caller's
# PYTHONPATH, which are not installed in the environment it is asked about: it takes sys.path from that Python,
# started with the caller's variables. -S does not change that. The documentation says that it analyses "the
# actually installed packages"; https://github.com/CycloneDX/cyclonedx-python/issues/1045 asks for a flag.
# `env -u PYTHONPATH` is the way round.
# Prints the components of an empty environment in three cases; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet cyclonedx-bom==7.5.0
"$folder/env/bin/python" -m pip install --quiet --target "$folder/other" six==1.17.0
python3 -m venv --without-pip "$folder/empty"

components() { # environment assignment, options
    env -u PYTHONPATH "$1" "$folder/env/bin/cyclonedx-py" environment $2 "$folder/empty/bin/python" |
        "$folder/env/bin/python" -c '
import json, sys
print(*(part["name"] for part in json.load(sys.stdin).get("components", [])))'
}

plain=$(components UNUSED=1 "")
path=$(components PYTHONPATH="$folder/other" "")
without_site=$(components PYTHONPATH="$folder/other" -S)
echo "components: [$plain] with PYTHONPATH: [$path] and with -S: [$without_site]"
test "$plain" = "" && test "$path" = six && test "$without_site" = six
