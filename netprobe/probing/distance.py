"""How far a packet has come, by the TTL that it has left: a guess, because the sender's initial TTL is one."""

_INITIAL_TTLS = (32, 64, 128, 255)  # old stacks and devices; Linux, macOS and Android; Windows; routers


def initial_ttl(arrival_ttl: int) -> int:
    """The usual initial TTL that a packet left with which arrives with `arrival_ttl`."""
    return next(start for start in _INITIAL_TTLS if arrival_ttl <= start)


def path_length(arrival_ttl: int) -> int:
    """How many hops away its sender is, as the way back counts: 1 for a neighbour."""
    return initial_ttl(arrival_ttl) - arrival_ttl + 1
