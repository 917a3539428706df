#!/usr/bin/env bash
# Builds the Python wheel, installs it in a fresh virtual environment and runs its tests there.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
rm -rf python/dist
node scripts/python.mjs --wheel
size=$(wc -c <python/dist/bnfold-*.whl)
echo "wheel: $size bytes"
[ "$size" -le 1000000 ] || { echo "the wheel is larger than 1 MB" >&2; exit 1; }
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "$(echo python/dist/bnfold-*.whl)[test]"
# A machine whose Node.js is too old takes one from PyPI.
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
  "$folder/bin/python" -m pip install --quiet "$(echo python/dist/bnfold-*.whl)[node]"
"$folder/bin/python" -m pytest -q python/tests
