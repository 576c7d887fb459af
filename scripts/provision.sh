#!/usr/bin/env bash
# Make a Debian machine one whose kernel has netem, and run the kernel scenarios in it.
# usage: scripts/provision.sh [setup|run] [SCENARIO...]
#   setup  only install what is needed, as root    run  only run    neither: both
# Without names the scenarios run in which delays and losses matter; `all` is every scenario. The exit code is 1 when
# one of them failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin:/sbin

setup() {
    scripts/apt-install.sh "the kernel scenarios" make kmod python3-venv
    if ! modprobe --dry-run sch_netem; then
        echo "provision: $(uname -r) has no netem; boot Debian's own kernel: apt-get install linux-image-amd64" >&2
        exit 1
    fi
    make venv tools
}

run() {
    modprobe -a sch_netem veth tun nf_tables
    exec "${PYTHON:-.venv/bin/python}" -m tests.netem "$@"
}

case ${1:-} in
    setup) setup ;;
    run) shift; run "$@" ;;
    *) setup; run "$@" ;;
esac
