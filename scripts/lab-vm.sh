#!/usr/bin/env bash
# Run the kernel scenarios under another kernel: Debian's own, emulated by qemu, which has netem. This machine's kernel
# and files stay as they are: the emulated one sees them read-only, and what it writes stays in its memory.
# usage: scripts/lab-vm.sh PYTHON [SCENARIO...]     (see scripts/provision.sh; needs root; SECONDS_AT_MOST bounds it)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PATH:/usr/sbin:/sbin
python=$(realpath --no-symlinks "$1")
shift
kernel=linux-image-cloud-amd64
modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci fuse virtiofs overlay"  # in this order

fail() { echo "lab-vm: $*" >&2; exit 1; }
[[ $(uname -m) == x86_64 ]] || fail "the emulated kernel is for x86-64, this machine is $(uname -m)"
command -v qemu-system-x86_64 >/dev/null || scripts/apt-install.sh "lab-vm" qemu-system-x86
(($(id -u) == 0)) || fail "sharing this machine's files with the emulated one needs root: sudo make lab-vm"
command -v apt-get >/dev/null || fail "the emulated kernel comes from Debian's packages: there is no apt-get here"
for daemon in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd ""; do [[ -x $daemon ]] && break; done
[[ -n $daemon ]] || fail "there is no virtiofsd: apt-get install virtiofsd"

for old in /tmp/netprobe-vm.*; do  # left by one that was killed: whoever lives holds a lock
    if [[ -O $old ]] && flock --nonblock "$old" true; then rm -rf "$old"; fi
done
started=()
folder=
cleanup() {
    ((${#started[@]} == 0)) || kill "${started[@]}" 2>/dev/null || true
    wait
    [[ -z $folder ]] || rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
folder=$(mktemp -d /tmp/netprobe-vm.XXXXXX)
exec {lock}<"$folder"
flock --shared "$lock"

# Its files, unpacked and never installed.
fetch() { (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root "$@" && for file in *.deb; do dpkg -x "$file" .; rm "$file"; done); }
image() { apt-cache depends --no-recommends "$kernel" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p'; }
[[ -n $(image) ]] || apt-get update -qq
[[ -n $(image) ]] || fail "apt knows no package $kernel"
fetch busybox-static "$(image)"
busybox=$folder/bin/busybox
release=$(basename "$folder"/lib/modules/*)
"$busybox" depmod -b "$folder" "$release"

# What runs in there as one archive, which it keeps in memory. Of what it reads from here the clock below knows nothing:
# while others have this machine's processors, seconds would pass in there at each page of a library.
pack() { tar --append --file="$folder/files.tar" --absolute-names --exclude=test --exclude="*.a" "$@" 2>/dev/null; }
read -r standard packages < <("$python" -c 'import os, sysconfig; print(*(os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "purelib")))')
pack --exclude=.git --exclude=.venv --exclude=build "$PWD"
pack --exclude=site-packages --exclude=dist-packages "$standard"
pack --exclude=pip --exclude="mypy*" --exclude="*mypyc*" --exclude="*atheris*" --exclude="*fuzzer*" "$packages"  # large, and unused
programs=$(realpath "$python" $(command -v busybox bash sh ip tc ping traceroute bird) /usr/lib/*/libnftables.so.1 2>/dev/null || true)
libraries=$(ldd $programs "$standard"/lib-dynload/*.so 2>/dev/null | grep -o '/[^ ]*[.]so[^ ]*' | grep -v ':$' | sort -u)
for file in $programs $libraries; do  # as it is called, and what that leads to; not by way of links between folders
    echo "$(realpath "$(dirname "$file")")/$(basename "$file")"
    realpath "$file"
done | sort -u >"$folder/files.list"
pack --files-from="$folder/files.list"

# What it starts with: enough to reach the shared files, and the one command that it is there for.
mkdir -p "$folder"/initial/{bin,dev,host,memory,whole}
cp "$busybox" "$folder/initial/bin/busybox"
ln -s busybox "$folder/initial/bin/sh"
for module in $modules; do
    find "$folder/lib/modules" -name "$module.ko" -exec cp {} "$folder/initial/" \;
done
cat >"$folder/initial/init" <<END
#!/bin/sh
busybox mount -t devtmpfs dev /dev
for module in $modules; do [ ! -e /\$module.ko ] || busybox insmod /\$module.ko; done
busybox mount -t virtiofs -o ro host /host
busybox mount -t tmpfs memory /memory
busybox mkdir /memory/files /memory/upper /memory/work
busybox tar -x -f "/host$folder/files.tar" -C /memory/files
busybox mount -t overlay -o lowerdir=/memory/files:/host,upperdir=/memory/upper,workdir=/memory/work overlay /whole
busybox mkdir -p /whole/dev /whole/proc /whole/sys /whole/run /whole/tmp /whole/lib/modules
busybox mount -t devtmpfs dev /whole/dev
busybox mount -t proc proc /whole/proc
busybox mount -t sysfs sys /whole/sys
busybox mount -t tmpfs run /whole/run
busybox mount -o bind "/host$folder/lib/modules" /whole/lib/modules
busybox cp /bin/busybox /whole/usr/sbin/busybox
[ -e /whole/usr/sbin/modprobe ] || busybox ln -s busybox /whole/usr/sbin/modprobe
exec busybox switch_root /whole /bin/sh "$folder/command"
END
chmod +x "$folder/initial/init"
(cd "$folder/initial" && find . | "$busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$folder/initial.gz"
{
    echo "export PATH=$(printf %q "$PATH") HOME=/tmp PYTHON=$(printf %q "$python")"
    echo "cd $(printf %q "$PWD")"
    echo "busybox stty -F /dev/ttyS0 -onlcr"
    echo "ip link set lo up"
    echo "scripts/provision.sh run${*:+$(printf ' %q' "$@")} </dev/null >/dev/ttyS0 2>&1"
    echo 'echo $? >/dev/ttyS1'
    echo "busybox poweroff -f"
} >"$folder/command"

setpriv --pdeathsig TERM "$daemon" --socket-path="$folder/files" -o source=/ -o cache=always -o sandbox=chroot >"$folder/files.log" 2>&1 &
started+=($!)
for _ in {1..50}; do [[ -S $folder/files ]] && break; sleep 0.1; done
[[ -S $folder/files ]] || fail "virtiofsd does not start: $(tail -n 3 "$folder/files.log")"

# Its clock counts instructions (1 ns each) and skips what nothing happens in: steady, however slow the emulation.
code=0
setpriv --pdeathsig TERM timeout "${SECONDS_AT_MOST:-1800}" qemu-system-x86_64 -nodefaults -no-user-config -no-reboot \
    -accel tcg -icount shift=0,sleep=off -cpu max -m 3G -machine q35,memory-backend=memory \
    -object memory-backend-memfd,id=memory,size=3G,share=on \
    -kernel "$folder/boot/vmlinuz-$release" -initrd "$folder/initial.gz" -append "console=ttyS0 quiet panic=-1" \
    -chardev "socket,id=files,path=$folder/files" -device vhost-user-fs-pci,chardev=files,tag=host \
    -display none -monitor none -serial stdio -serial "file:$folder/code" </dev/null &
started+=($!)
wait $! || code=$?  # a signal ends this wait, where it would let a command in the foreground end first
((code != 124)) || fail "stopped after ${SECONDS_AT_MOST:-1800} s"
((code == 0)) || fail "qemu ended with exit code $code"
[[ -s $folder/code ]] || fail "the emulated machine ended without a word"
exit "$(tr -dc 0-9 <"$folder/code")"
