#!/usr/bin/env bash
# The commands that the packet tests and the benchmarks compare netprobe with: install those that are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin:/sbin  # where some live, and what an ordinary user's path leaves out

# command      Debian package
table="
ip             iproute2
unshare        util-linux
sysctl         procps
ping           iputils-ping
traceroute     traceroute
mtr            mtr-tiny
scamper        scamper
tcpdump        tcpdump
tshark         tshark
dig            bind9-dnsutils
kdig           knot-dnsutils
curl           curl
nft            nftables
nginx          nginx-light
dnsmasq        dnsmasq-base
unbound        unbound
bird           bird2
chromium       chromium
"
missing=()
while read -r command package; do
    [[ -z $command ]] || command -v "$command" >/dev/null || missing+=("$package")
done <<<"$table"
((${#missing[@]} == 0)) || scripts/apt-install.sh "the tests with real packets" "${missing[@]}"
