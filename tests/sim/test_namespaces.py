"""Namespaces that nothing leaves and that leave nothing."""

import errno
import os
from pathlib import Path

import pytest

from netprobe.sim import devices, namespaces
from netprobe.sim.namespaces import LabError, Namespaces, isolated


def refused(number: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said when the kernel answers unshare(2) with `number`."""

    def unshare(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(namespaces, "_unshare", unshare)
    with pytest.raises(LabError) as raised:
        namespaces.enter_new_network()
    return str(raised.value)


@pytest.mark.packets
def test_isolated_namespace_has_a_loopback_only() -> None:
    """There is one device, it is up, and no route leads anywhere."""
    with isolated() as inside:
        assert [line.split()[0] for line in inside.run(["ip", "-brief", "link"]).stdout.splitlines()] == ["lo"]
        assert inside.run(["ip", "route"]).stdout == ""
        assert inside.run(["ping", "-c", "1", "127.0.0.1"]).returncode == 0
        assert "Network is unreachable" in inside.run(["ping", "-c", "1", "192.0.2.1"]).stderr


@pytest.mark.packets
def test_isolated_namespace_is_gone_with_its_holder() -> None:
    """The namespace needs no process to stay, and none has it in the end."""
    with isolated() as inside:
        network = os.fstat(inside.descriptors[-1])
        assert inhabitants(network) == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(inside.descriptors[-1])


def inhabitants(namespace: os.stat_result) -> list[str]:
    """The processes that live in a network namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.path.samestat((entry / "ns/net").stat(), namespace):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.packets
def test_command_stays_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command starts where its caller is, although it has mounts of its own."""
    monkeypatch.chdir(tmp_path)
    with isolated() as inside:
        assert inside.run(["pwd"]).stdout.strip() == str(tmp_path)
        assert inside.run(["pwd"], cwd="/").stdout.strip() == "/"


@pytest.mark.packets
def test_descriptors_are_above_the_standard_ones() -> None:
    """A caller without standard input does not lose a namespace to the command's own."""
    with isolated() as inside:
        assert min(inside.descriptors) > 2


def test_own_process_needs_no_joining() -> None:
    """The namespaces of a process that shares them all are none."""
    assert Namespaces.of(os.getpid()).descriptors == ()


def test_missing_command_is_named() -> None:
    """A command that does not exist is the user's to correct."""
    with pytest.raises(LabError) as raised:
        Namespaces(()).popen(["no-such-command"])
    assert str(raised.value) == "no-such-command: no such command; install it, or give its whole path"


def test_command_that_is_no_program_is_named(tmp_path: Path) -> None:
    """A file that cannot be executed is the user's to correct."""
    (tmp_path / "notes.txt").write_text("not a program")
    with pytest.raises(LabError) as raised:
        Namespaces(()).popen([str(tmp_path / "notes.txt")])
    assert str(raised.value) == f"{tmp_path}/notes.txt: Permission denied; is it an executable file?"


def test_command_dies_with_its_caller() -> None:
    """A command whose caller is not its parent any more ends at once."""
    child = os.fork()
    if child == 0:
        namespaces.die_with(os.getpid())  # nobody is one's own parent
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            errno.EPERM,
            (
                "the kernel refuses user namespaces (Operation not permitted); "
                "run as root, or, in a container, allow it CAP_SYS_ADMIN"
            ),
        ),
        (
            errno.ENOSPC,
            "the limit of namespaces is reached; see the limits under /proc/sys/user/, or run as root",
        ),
    ],
)
def test_refusal_says_what_to_do(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root and without user namespaces one line says what, where and what to do."""
    monkeypatch.setattr(namespaces, "_FORBIDDING", ())
    assert refused(number, monkeypatch) == f"network namespace: {said}"


def test_forbidding_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a setting forbids user namespaces, the message names it and how to change it."""
    setting = tmp_path / "max_user_namespaces"
    setting.write_text("0\n")
    monkeypatch.setattr(namespaces, "_FORBIDDING", ((str(setting), "0", "sysctl -w user.max_user_namespaces=15000"),))
    assert refused(errno.ENOSPC, monkeypatch) == (
        f"network namespace: user namespaces are forbidden by {setting} = 0; "
        "run as root, or as root: sysctl -w user.max_user_namespaces=15000"
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            errno.ENOENT,
            (
                "/dev/net/tun: No such file or directory; "
                'load the driver with "modprobe tun"; in a container add --device /dev/net/tun'
            ),
        ),
        (errno.EACCES, '/dev/net/tun: Permission denied; run as root, or as root: "chmod 0666 /dev/net/tun"'),
    ],
)
def test_device_that_cannot_be_had_is_explained(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing driver and missing rights are told apart."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LabError) as raised:
        devices.open_device("tun0", 1)
    assert str(raised.value) == said
