"""A simulated network that lives: started for commands that run in it with real packets, gone with the last of them."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from netprobe.model.record import to_json
from netprobe.sim import folders, wiring
from netprobe.sim.namespaces import LabError, Namespaces, own_environment
from netprobe.sim.records import Scenario
from netprobe.sim.turns import Turns

#: Variables by which tools find the certificates to trust.
_TRUST = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
#: Variables that would lead out of the simulated network, or change how names are looked up in it.
_MISLEADING = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "res_options", "localdomain")
#: Where netprobe finds what the scenario gives of its client (live/host.py), which lies in the lab's folder.
_GIVEN_FACTS, _FACTS_FILE = "NETPROBE_GIVEN_FACTS", "facts.json"
_TABLES = ("passwd", "group", "shadow", "services", "protocols")
_PATIENCE_S = 2.0  # for a process that was asked to end
_FORWARDED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class Fidelity(StrEnum):
    """How real a network is in which commands can run."""

    TUN = "tun"
    KERNEL = "kernel"


_MODULES = {Fidelity.TUN: "netprobe.sim.tun", Fidelity.KERNEL: "netprobe.sim.kernel"}


class World:
    """A context in which scenario `scenario` is a network with real packets. Raises `LabError` when it cannot be.

    Its time begins when the context does; `popen` and `run` start commands at the scenario's client. All packets that
    pass the client's card are written to `pcap`.
    """

    def __init__(
        self, scenario: Scenario, seed: int = 0, fidelity: Fidelity = Fidelity.TUN, *, pcap: Path | None = None
    ) -> None:
        self._scenario = scenario
        self._pcap = pcap
        self._recorder: subprocess.Popen[Any] | None = None
        self._starver: subprocess.Popen[Any] | None = None
        self._fidelity = fidelity
        self._seed = seed
        self._began = 0.0
        self._folder = ""
        self._lock = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._namespaces: Namespaces | None = None
        self._commands: list[subprocess.Popen[Any]] = []

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that vouches for the servers, as a PEM file."""
        return Path(self._folder, wiring.CA_FILE)

    def now(self) -> float:
        """Seconds since the network's start, which is what the scenario's faults count from."""
        return time.monotonic() - self._began

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a command needs to know: `base` (or the caller's own) with trust in the lab and without proxies."""
        kept = os.environ if base is None else base
        found = {key: value for key, value in kept.items() if key.lower() not in _MISLEADING}
        found |= dict.fromkeys(_TRUST, str(self.ca_file))
        return found | {_GIVEN_FACTS: str(Path(self._folder, _FACTS_FILE))}

    def popen(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a command at the client; `options` are `subprocess.Popen`'s. It ends with the world."""
        if self._namespaces is None:
            msg = "the simulated network is not running: use World in a with statement"
            raise LabError(msg)
        process = self._namespaces.popen(command, env=self.environment(env), **options)
        self._commands.append(process)
        return process

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command at the client to its end; its output is captured as text unless `options` say otherwise."""
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        with self.popen(command, **settings) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alive = self._process is not None and self._process.poll() is None
        self._stop()
        if error is None and not alive:
            msg = "the simulated network ended before what ran in it; its error is above"
            raise LabError(msg)

    def _start(self) -> None:
        self._folder, self._lock = folders.make()
        for name, text in _client_files(self._scenario).items():
            Path(self._folder, name).write_text(text)
        self._process = subprocess.Popen(  # noqa: S603  # one of two modules of ours
            [sys.executable, "-P", "-m", _MODULES[self._fidelity]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=own_environment(),
            start_new_session=True,  # Ctrl-C at the terminal is the command's
        )
        assert self._process.stdin is not None  # noqa: S101  # pipes, as asked for
        assert self._process.stdout is not None  # noqa: S101
        try:
            wiring.send(self._process.stdin, wiring.Setup(self._scenario, self._seed, self._folder))
            ready = wiring.receive(self._process.stdout, wiring.Ready)
        except (EOFError, BrokenPipeError):
            msg = "the simulated network ended at its start; its error is above"
            raise LabError(msg) from None
        if ready.error:
            raise LabError(ready.error)
        self._began = ready.began
        self._namespaces = Namespaces.of(self._process.pid)
        if Turns(self._scenario):
            self._starve()
        if self._pcap is not None:
            self._record(self._pcap)

    def _starve(self) -> None:
        """Have the processor kept from whatever runs at the client, except from who carries its packets."""
        assert self._namespaces is not None  # noqa: S101  # the caller has just made them
        assert self._process is not None  # noqa: S101
        self._starver = self._namespaces.popen(
            [sys.executable, "-P", "-m", "netprobe.sim.starver", str(self._process.pid)],
            stdin=subprocess.PIPE,
            env=own_environment(),
            start_new_session=True,
        )
        assert self._starver.stdin is not None  # noqa: S101  # a pipe, as asked for
        wiring.send(self._starver.stdin, wiring.Setup(self._scenario, self._seed, self._folder))
        wiring.send(self._starver.stdin, wiring.Ready(self._began))

    def _record(self, path: Path) -> None:
        """Have what passes the client's card written down from now on."""
        assert self._namespaces is not None  # noqa: S101  # the caller has just made them
        self._recorder = self._namespaces.popen(
            [sys.executable, "-P", "-m", "netprobe.sim.recorder", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=own_environment(),
            start_new_session=True,
        )
        assert self._recorder.stdout is not None  # noqa: S101  # a pipe, as asked for
        said = self._recorder.stdout.readline().strip()
        if said != "ready":
            raise LabError(f"--pcap: {said or 'its writer ended; its error is above'}")

    def _stop_recording(self) -> None:
        if self._recorder is not None:
            _let_end(self._recorder)
            self._recorder = None

    def _stop(self) -> None:
        if self._starver is not None:  # first: who is stopped cannot end
            _let_end(self._starver)
            self._starver = None
        for command in self._commands:
            _end(command)
        self._stop_recording()
        if self._namespaces is not None:
            self._namespaces.close()
            self._namespaces = None
        if self._process is not None:
            assert self._process.stdin is not None  # noqa: S101
            assert self._process.stdout is not None  # noqa: S101
            with contextlib.suppress(OSError):
                self._process.stdin.close()  # which is how it learns that it may end
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _client_files(scenario: Scenario) -> dict[str, str]:
    """The lab's folder: files that the client sees in place of the machine's own."""
    return {
        "resolv.conf": "".join(f"nameserver {address}\n" for address in scenario.client.resolvers),
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {socket.gethostname()}\n"
        + "".join(f"{address} {name}\n" for name, address in scenario.client.hosts.items()),
        # Names are looked up in the simulated network only: no daemon of the machine is asked.
        "nsswitch.conf": "hosts: files dns\n" + "".join(f"{table}: files\n" for table in _TABLES),
        _FACTS_FILE: to_json(scenario.client.facts).decode(),
    }


def _let_end(helper: subprocess.Popen[Any]) -> None:
    """Close the standard input of a helper, which is how it learns that it may end."""
    assert helper.stdin is not None  # noqa: S101  # a pipe, as asked for
    with contextlib.suppress(OSError):
        helper.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        helper.wait(_PATIENCE_S)
    _end(helper)


def _end(command: subprocess.Popen[Any]) -> None:
    if command.poll() is None:
        command.terminate()
        try:
            command.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
    for stream in (command.stdin, command.stdout, command.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def run_in_world(
    scenario: Scenario,
    command: Sequence[str],
    *,
    seed: int = 0,
    fidelity: Fidelity = Fidelity.TUN,
    env: Mapping[str, str] | None = None,
    capture: bool = False,
    pcap: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `command` at the client of a world that is made for it, attached to the caller's own input and output.

    With `capture` its output is kept as text instead; `pcap` gets the client's packets. Signals go on to the command.
    The return code is `subprocess`'s: negative for a signal. Raises `LabError`.
    """
    options: dict[str, Any] = {"text": True}
    if capture:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if capture or not _is_open(0):
        options["stdin"] = subprocess.DEVNULL
    with World(scenario, seed, fidelity, pcap=pcap) as world, _Signals() as signals:
        process = world.popen(command, env=env, **options)
        signals.go_to(process)
        out, err = process.communicate()
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class _Signals:
    """While in it, signals end the command instead of the caller, which then cleans up as after any other end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[Any] | None = None
        self._early: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread may set handlers; in another one signals are the main thread's business.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._take) for number in _FORWARDED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._process is None:  # there was no command after all
            for number in self._early:
                signal.raise_signal(number)

    def go_to(self, process: subprocess.Popen[Any]) -> None:
        """Name the command, which gets what came before it was known."""
        self._process = process
        for number in self._early:
            self._send(process, number)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        elif number not in _FROM_TERMINAL or not _in_foreground():  # else the terminal has told the command already
            self._send(self._process, number)

    @staticmethod
    def _send(process: subprocess.Popen[Any], number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
