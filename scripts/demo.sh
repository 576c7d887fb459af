#!/usr/bin/env bash
# Two outages with real packets in simulated networks, and whether the verdicts on them were right.
# usage: scripts/demo.sh NETPROBE
set -euo pipefail
netprobe=$1

no_namespaces() {
    echo "demo: no network could be made here. netprobe makes its network in namespaces of its own, which takes root or" >&2
    echo "unprivileged user namespaces, and /dev/net/tun." >&2
    if [[ $(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null) == 1 ]]; then
        echo "AppArmor restricts user namespaces here (Ubuntu 23.10 and later): use sudo make demo" >&2
    elif [[ $(id -u) -ne 0 ]]; then
        echo "Try: sudo make demo" >&2
    fi
}

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
    if ((code == 2 || code == 20)); then no_namespaces; fi
    echo "demo: $1 should have ended with exit code $2 ($3), it was $code" >&2
    exit 1
}

run isp-core-black-hole 11 isp
run cdn-vendor-down 14 platform
printf '\ndemo: %d of 2 verdicts right: %s; %s\n' "${#right[@]}" "${right[@]}"
