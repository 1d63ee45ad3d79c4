#!/usr/bin/env bash
# Runs the Python tests, or some files of them, against an installed wheel, in an environment of its
# own.
# usage: scripts/test_wheel.sh WHEEL REQUIREMENTS [FILE...]
set -euo pipefail
wheel=$(realpath "$1")
requirements=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")
shift 2
tests=("${@/#/$root/tests/python/}")

outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
"${PYTHON:-python3}" -m venv "$outside/venv"
python=$outside/venv/bin/python
"$python" -m pip install --quiet --disable-pip-version-check --no-compile \
    "$wheel" -r "$requirements"

# From here no source file can stand in for one that the wheel lacks.
cd "$outside"
unset PYTHONPATH
"$python" - <<'PYTHON'
import sys

import numpy
import scipy
import slide_rs

assert slide_rs.__file__.startswith(sys.prefix), slide_rs.__file__
print(f"slide_rs {slide_rs.__version__}, NumPy {numpy.__version__}, SciPy {scipy.__version__}")
PYTHON
"$python" -m pytest -p no:cacheprovider -c "$root/pyproject.toml" --rootdir "$root" \
    "${tests[@]:-$root/tests/python}"
