#!/bin/sh
# onnxruntime 1.32.0 (PyPI, Linux wheel) has telemetry that is on by default. Merely importing it writes a
# file `.ses` with a random id into the temporary folder; about half a minute later the process looks up
# mobile.events.data.microsoft.com (seen with strace). `disable_telemetry_events()` after the import
# comes too late for the file. The environment variable ORT_DISABLE_TELEMETRY=1, set before the import,
# prevents both. Wheels up to 1.28.0 have no such code; 1.29.0 has it.
# Prints what is left in the temporary folder in three cases; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet onnxruntime==1.32.0

left() { # environment assignment, code
    rm -rf "$folder/tmp"
    mkdir "$folder/tmp"
    env TMPDIR="$folder/tmp" "$1" "$folder/env/bin/python" -c "$2"
    ls -A "$folder/tmp" | tr '\n' ' '
}

plain=$(left UNUSED=1 "import onnxruntime")
late=$(left UNUSED=1 "import onnxruntime; onnxruntime.disable_telemetry_events()")
switched=$(left ORT_DISABLE_TELEMETRY=1 "import onnxruntime")
echo "import: [$plain] disabled after the import: [$late] switched off before: [$switched]"
test "$plain" = ".ses " && test "$late" = ".ses " && test "$switched" = ""
