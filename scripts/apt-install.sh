#!/usr/bin/env bash
# Install Debian packages when root, else say which are missing.
# usage: scripts/apt-install.sh PURPOSE PACKAGE...
set -euo pipefail
purpose=$1
shift

if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    {
        echo "make: something is missing here for $purpose. On Debian or Ubuntu:"
        echo "    sudo apt-get install $*"
        echo "Elsewhere install what these packages hold; then call make again."
    } >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
echo "installing for $purpose: $*"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
cleanup() { rm -f "$log" ${made_policy:+"$policy"}; }
trap cleanup EXIT
if [[ ! -e $policy ]]; then  # a server that is only wanted as a program must not be started as a service
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made_policy=yes
fi
if ! { apt-get update && apt-get install --yes --no-install-recommends "$@"; } </dev/null >"$log" 2>&1; then
    cat "$log" >&2
    echo "make: apt-get could not install: $*" >&2
    exit 1
fi
