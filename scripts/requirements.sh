#!/usr/bin/env bash
# Pin the closure of pyproject.toml, runtime and development, with every hash of each release. uv resolves it: in a
# temporary environment, because it is of no use for anything else here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${1:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check uv

# pin FILE PURPOSE WHAT...: write FILE anew.
pin() {
    local file=$1 purpose=$2
    shift 2
    "$folder/venv/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate "$@" --output-file "$folder/pins"
    {
        echo "# $purpose"
        echo "# Made from pyproject.toml by \`make requirements\`; do not edit."
        cat "$folder/pins"
    } >"$file"
    rm "$folder/pins"  # what lies there would be kept
}
pin requirements.txt "The whole closure, runtime and development, for Python 3.11 and later: what \`make\` installs, by hash." \
    --group dev pyproject.toml
pin tests/fuzz/requirements.txt "The fuzzer, for \`make fuzz\` and the tests beside it, by hash." --group fuzz
