"""The servers' process: started by the process that holds the simulated network, ends with it.

Standard input brings the setup, then the moment at which the network started, then nothing until the end.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from netprobe.sim.devices import set_kernel
from netprobe.sim.records import Scenario
from netprobe.sim.servers import dns, web
from netprobe.sim.servers.answers import cookies
from netprobe.sim.servers.authority import Authority
from netprobe.sim.wiring import CA_FILE, Ready, Setup, receive, send


def _answer_with_cookies(scenario: Scenario, now: float) -> None:
    """Let this namespace's kernel answer SYNs with cookies while a server that lives here does. It is one for all."""
    wanted = any(cookies(scenario, server, now) for server in scenario.servers)
    set_kernel("ipv4/tcp_syncookies", "2" if wanted else "1")  # always, or when there is no room


def _publish(place: Path, authority: Authority) -> None:
    place.write_bytes(authority.pem)


async def _main() -> None:
    setup = receive(sys.stdin.buffer, Setup)
    began = time.monotonic()

    def now() -> float:
        return time.monotonic() - began

    true_time = datetime.now(UTC) - timedelta(seconds=setup.scenario.client.clock_ahead_s)
    authority = Authority(true_time)
    if setup.folder:
        _publish(Path(setup.folder, CA_FILE), authority)
    resolvers = await dns.serve(setup.scenario, now, setup.machines)
    await web.serve(setup.scenario, authority, now, setup.machines, resolvers=resolvers)
    if any(server.quic for server in setup.scenario.servers):
        from netprobe.sim.servers import quic  # noqa: PLC0415  # 16 MB that few networks need

        await quic.serve(setup.scenario, authority, now, setup.machines)
    send(sys.stdout.buffer, Ready())
    began = receive(sys.stdin.buffer, Ready).began  # nothing can be asked before, so this may block
    edges = {t for fault in setup.scenario.faults if fault.cookies for t in (fault.begin_s, fault.end_s)}
    for edge in sorted(edge for edge in edges if edge < float("inf")):
        asyncio.get_running_loop().call_later(max(0.0, edge - now()), _answer_with_cookies, setup.scenario, edge)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)  # the end of the input: nothing else comes
    await ended.wait()


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except (EOFError, BrokenPipeError):  # the network did not start
        sys.exit(1)
