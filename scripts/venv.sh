#!/usr/bin/env bash
# Make a virtual environment with the pinned packages, every one checked against its hash.
# usage: scripts/venv.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$1

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
with_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# The distribution's own first: it is built with profiles (a fifth faster than one that was built by hand), kept up to
# date with the machine, and other users than root can run it.
python=
for candidate in "${PYTHON:-/usr/bin/python3}" python3 python3.13 python3.12 python3.11; do
    if suitable "$candidate"; then
        python=${python:-$candidate}
        if with_venv "$candidate"; then
            python=$candidate
            break
        fi
    fi
done
if [[ -z $python ]]; then
    echo "make: netprobe needs Python 3.11 or later, and there is none here (PYTHON=... names one that is elsewhere)" >&2
    exit 1
fi
with_venv "$python" || scripts/apt-install.sh "a virtual environment" python3-venv

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$venv"
fi
echo "installing $(grep -c == requirements.txt) pinned packages into $venv"
# Twice quiet: a warning about somebody's index settings is not about this project.
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input --require-hashes -r requirements.txt
