#!/usr/bin/env bash
# Two outages with real packets in simulated networks, and whether the verdicts on them were right.
# usage: scripts/demo.sh NETPROBE
set -euo pipefail
netprobe=$1

# run SCENARIO EXIT_CODE COMPONENT: the exit code of a diagnosis names the component at fault.
right=()
run() {
    local code=0
    printf '\n\033[1m$ netprobe lab run %s\033[0m\n' "$1"
    "$netprobe" lab run "$1" || code=$?
    if ((code == $2)); then
        right+=("$1 -> $3")
        return
    fi
    echo "demo: $1 should have ended with exit code $2 ($3), it was $code" >&2
    # Without a network to simulate netprobe has said why; root needs no user namespace.
    if (((code == 2 || code == 20) && $(id -u) != 0)); then echo "demo: as root it may work: sudo make demo" >&2; fi
    exit 1
}

run isp-core-black-hole 11 isp
run cdn-vendor-down 14 platform
printf '\ndemo: %d of 2 verdicts right: %s; %s\n' "${#right[@]}" "${right[@]}"
