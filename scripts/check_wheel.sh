#!/usr/bin/env bash
# Looks at a wheel as an index and its users would: one binary for all versions of CPython from 3.10
# on, old enough symbols, a size of less than 5 MB, and a type for every public name.
# usage: scripts/check_wheel.sh WHEEL REQUIREMENTS
set -euo pipefail
wheel=$(realpath "$1")
requirements=$(realpath "$2")

outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
"${PYTHON:-python3}" -m venv "$outside/venv"
bin=$outside/venv/bin
"$bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
    "$wheel" -r "$requirements"
cd "$outside"
unset PYTHONPATH

case $wheel in
    *-cp310-abi3-*) "$bin/abi3audit" --strict "$wheel" ;;
    *) echo "$wheel: wanted a wheel for cp310-abi3" >&2; exit 1 ;;
esac
"$bin/auditwheel" show "$wheel" | tail -n +2 | head -n 6

bytes=$(stat --format %s "$wheel")
echo "$bytes bytes"
if [ "$bytes" -ge 5000000 ]; then
    echo "wanted less than 5,000,000" >&2
    exit 1
fi

# It looks at the packages of the first interpreter that it finds.
PATH=$bin:$PATH "$bin/pyright" --verifytypes slide_rs --ignoreexternal --outputjson > types.json ||
    true
"$bin/python" - <<'PYTHON'
import json

symbols = json.load(open("types.json"))["typeCompleteness"]["symbols"]
# PyTorch, whose classes these extend, is not here; `make test-torch` looks at their types.
own = [s for s in symbols if s["isExported"] and not s["name"].startswith("slide_rs.torch.")]
lacking = [s["name"] for s in own if not s["isTypeKnown"] or s["isTypeAmbiguous"]]
print(f"{len(own) - len(lacking)} of {len(own)} public names have types")
raise SystemExit(f"without: {lacking}" if lacking or not own else 0)
PYTHON

# Timed for the log alone: what else runs on a machine decides as well.
"$bin/python" - <<'PYTHON'
import subprocess
import sys
import time


def least(code: str) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


before = least("import numpy, scipy.sparse")
after = least("import numpy, scipy.sparse, slide_rs")
print(f"import slide_rs: {1000 * (after - before):.0f} ms beyond NumPy and scipy.sparse")
PYTHON
