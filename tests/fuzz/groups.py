"""What is fuzzed: a group for each kind of bytes that strangers send, and what must hold whatever they send.

A group is a function of the bytes; it raises AssertionError where an invariant does not hold, and lets any other
exception through, which is a finding too. `seeds` gives the bytes to begin with: our own builders' and the samples'.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.fuzz import chains, gate, machine, packets, services


class Group(NamedTuple):
    """Bytes of one kind: `check` looks at one input, `seeds` are inputs to begin with."""

    check: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


#: By name, in the order of the way in.
GROUPS = {
    "packets": Group(packets.packets, packets.v4_seeds),
    "packets_v6": Group(packets.packets_v6, packets.v6_seeds),
    "replies": Group(chains.Chain(), chains.chain_seeds),
    "rungs": Group(chains.Rung(), chains.rung_seeds),
    "broker": Group(gate.requests, gate.request_seeds),
    "ancillary": Group(machine.ancillary, machine.ancillary_seeds),
    "dns": Group(services.answers, services.answer_seeds),
    "name_streams": Group(services.streams, services.stream_seeds),
    "certificates": Group(services.certificates, services.certificate_seeds),
    "http": Group(services.heads, services.head_seeds),
    "feeds": Group(services.feeds, services.feed_seeds),
    "tls": Group(services.records, services.record_seeds),
    "helper": Group(services.words, services.word_seeds),
    "files": Group(machine.files, machine.file_seeds),
    "netlink": Group(machine.rows, machine.row_seeds),
}
