"""The simulated network: packets go in at a node, and come out at the far end, answered or not at all.

A packet's whole way is worked out when it goes in: the hop at which its TTL runs out or a fault takes it, and the sum
of the delays up to there. One event is scheduled for what comes of it. Nothing here reads a clock: `now` is seconds
since the network's start.
"""

import heapq
import random
from itertools import pairwise
from typing import Any

from msgspec import Struct

from netprobe.sim import packet as ip
from netprobe.sim.edges import Edges
from netprobe.sim.ends import End, Ends
from netprobe.sim.faults import Epoch, Hook, Timeline
from netprobe.sim.interdomain import Interdomain
from netprobe.sim.interfaces import Interfaces
from netprobe.sim.limits import Limiter
from netprobe.sim.links import Gate, jams
from netprobe.sim.packet import Packet
from netprobe.sim.plans import Plan, Plans
from netprobe.sim.records import Router, Scenario
from netprobe.sim.replies import echo_reply, refusal, router_error
from netprobe.sim.routing import CLIENT, Routing, has_v6_everywhere, node_addresses

SERVERS = "servers"
DNS_PORT = 53
_FLOWS = 65536  # flows whose packets are kept in order


class Delivery(Struct, frozen=True, gc=False):
    """A packet that comes out at `node` ("servers", or a card of the client's) at `at_s`."""

    node: str
    packet: Packet
    at_s: float


class Network:
    """A scenario's network as seed `seed` makes it: the same seed and packets give the same bytes at the same times."""

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self.scenario = scenario
        self._draw = random.Random(f"{seed}/network")  # a model, not a secret
        self._routing = Routing(scenario, seed)
        self._timeline = Timeline(scenario, seed)
        self._routers: dict[str, Router] = {router.name: router for router in scenario.routers}
        self._owner = node_addresses(scenario)
        self._gateways = {CLIENT: scenario.client.gateway} | {u.name: u.gateway for u in scenario.uplinks}
        self._resolvers = {address: r.name for r in scenario.resolvers for address in r.addresses}
        domains = Interdomain(scenario, self._routing)
        self._edges = Edges(scenario, self._routing, self._owner)
        gated = (*self._routing.gated(), *self._timeline.gated().items())
        jams_end = jams(scenario.faults)
        self._gates = {ends: Gate(ends, wire, seed, jams_end.get(ends, ())) for ends, wire in gated}
        self._entered: Epoch | None = None
        self._plans = Plans(scenario, self._routing, self._edges, domains, seed, self._draw, self._gates)
        whole = has_v6_everywhere(scenario)
        self._routing_v6 = self._routing if whole else Routing(scenario, seed, over_v6=True)
        domains_v6 = Interdomain(scenario, self._routing_v6, over_v6=True)
        self._plans_v6 = Plans(scenario, self._routing_v6, None, domains_v6, seed, self._draw, self._gates)
        self._end = Ends(scenario, self._owner, lambda a: (domains_v6 if ":" in a else domains).cell(a)).end
        self._interfaces = Interfaces(scenario)
        self._limiters: dict[str, Limiter] = {}
        self._last: dict[tuple[str, str, int, int], float] = {}
        self._queue: list[tuple[float, int, str | Gate, Packet]] = []
        self._count = 0
        self._late: list[tuple[Packet, str, float]] = []  # what injectors send once they have seen a copy of the packet

    # --- the border: what comes in and goes out

    def inject(self, packet: Packet, at: str, now: float) -> None:
        """Take over `packet` at a card of the client, or at "servers", where its source tells which one sends it."""
        epoch = self._timeline.at(now)
        origin = self._owner.get(packet.source) if at == SERVERS else at
        if origin is None or origin in epoch.down:
            return
        if not self._edges.translate or self._edges.begins(origin, packet, now, epoch):
            self._travel(packet, origin, now, epoch)
            if self._late:
                self._follow(epoch)

    def next_at(self) -> float | None:
        """When the next packet comes out; None when nothing is under way."""
        return self._queue[0][0] if self._queue else None

    def advance(self, now: float) -> list[Delivery]:
        """What comes out up to `now`, in order of time."""
        out = []
        queue = self._queue
        while queue and queue[0][0] <= now:
            at, _, node, packet = heapq.heappop(queue)
            if isinstance(node, str):
                out.append(Delivery(node, packet, at))
            else:
                self._cross(node, packet, at)
        return out

    def gateway_alive(self, now: float, card: str = CLIENT) -> bool:
        """Whether the gateway of one of the client's cards answers ARP."""
        return self._gateways[card] not in self._timeline.at(now).down

    def link_up(self, now: float, card: str = CLIENT) -> bool:
        """Whether the link of one of the client's cards has a carrier."""
        return self._timeline.at(now).link_up(card)

    def takes(self, now: float, card: str) -> bool:
        """Whether what one of the client's cards sends leaves it: the link is up and the gateway answers."""
        down = self._timeline.at(now).down
        return not down or (card not in down and self._gateways[card] not in down)

    def reaches(self, origin: str, address: str, now: float) -> float | None:
        """Seconds from node `origin` to `address` at `now`; None when a dead router is on the way."""
        epoch = self._timeline.at(now)
        end = self._end(address)
        plans = self._plans_v6 if ":" in address else self._plans
        plan = plans.plan(origin, end, epoch) if end else None
        if plan is None or plan.end is not None or plan.dead_at <= len(plan.way.hops) or origin in epoch.down:
            return None
        return plan.way.arrive_s[-1]

    def hops(self, address: str, origin: str = CLIENT) -> tuple[Router, ...]:
        """The routers that packets to `address` cross: what a perfect traceroute shows before the destination."""
        end = self._end(address)
        routing = self._routing_v6 if ":" in address else self._routing
        way = routing.way(origin, end.node) if end else None
        routers = [self._routers[name] for name in way.hops] if way else []
        return tuple(router for router in routers if router.propagate_ttl)

    # --- forwarding

    def _follow(self, epoch: Epoch) -> None:
        """Let travel what those send who have seen a packet pass."""
        while self._late:
            self._travel(*self._late.pop(0), epoch)

    def _travel(self, packet: Packet, origin: str, now: float, epoch: Epoch, via: str = "") -> None:
        """Work out what becomes of `packet`, which leaves `origin` at `now`; with `via` it is on the wire to there."""
        end = self._end(packet.destination)
        if end is None:
            gateway = self._gateways.get(origin, self._gateways[CLIENT])
            self._error(packet, gateway, ip.NET_UNREACHABLE, packet.ttl, now, epoch)
            return
        plans = self._plans_v6 if ":" in packet.destination else self._plans
        plan = plans.plan(origin, end, epoch, packet, via)
        if plan is None and plans is self._plans_v6:
            end = self._stranded(origin, end.node)
            plan = plans.plan(origin, end, epoch, packet, via) if end else None
        if plan is None or end is None or packet.ttl <= 0:
            return
        if plan.end is not None:
            end = plan.end
            if end.node == origin:  # it has no route for what it says itself
                return
        way = plan.way
        stop = plan.stop(packet.ttl)
        gate = next((gate for gate in plan.gates if gate <= stop and (gate or not via)), None) if plan.gates else None
        if plan.nat is not None and plan.nat < (stop if gate is None else gate):
            self._leave(packet, plan, plan.nat, now, epoch)
            return
        if gate is not None:
            self._approach(packet, (origin, end.node), plan, gate, now, epoch)
            return
        at = self._pass(packet, plan, stop, now, epoch)
        if at is None:
            return
        last = len(way.hops)
        if stop < last:
            if plan.tunnels and stop in plan.tunnels:
                self._expire_switched(packet, plan, stop, at, epoch)
            else:
                name, before = way.hops[stop], way.hops[stop - 1] if stop else origin
                came_by = self._interfaces.incoming(name, before, over_v6=":" in packet.source)
                self._error(packet, name, 0, 1, at, epoch, kind=ip.TIME_EXCEEDED, came_by=came_by)
            return
        packet.ttl -= last if plan.ticks is None else len(plan.ticks)
        self._arrive(packet, end, at, epoch)

    def _stranded(self, origin: str, node: str) -> End | None:
        """Who has no route of IPv6 to `node`: on the way that IPv4 takes, the last one whom IPv6 comes to."""
        way = self._routing.way(origin, node)
        places = (origin, *way.hops, node) if way else ()
        broken = (near for near, far in pairwise(places) if not self._routing_v6.joins(near, far))
        last = next(broken, origin)
        return End(last, owned=False, code=ip.NET_UNREACHABLE) if last in self._routers else None

    def _pass(
        self, packet: Packet, plan: Plan, stop: int, now: float, epoch: Epoch, *, onward: bool = False
    ) -> float | None:
        """When it comes to the place `stop`; None when it does not, and what there is to say of that has been said.

        `onward`: the router there passes it on, and may do to it what it does to what it passes on.
        """
        way = plan.way
        if plan.dead_at <= stop or (way.survive[stop] < 1.0 and self._draw.random() >= way.survive[stop]):
            return None
        met = stop + onward
        narrow = self._too_narrow(packet, plan, met) if plan.mtu < packet.size else None
        # Who drops a packet does so before the router could say that it does not fit.
        held = self._meet(packet, plan, met if narrow is None else narrow + 1, now, epoch) if plan.hooks else 0.0
        if held is None:
            return None
        if narrow is not None:
            self._too_big(packet, plan, narrow, now + held, epoch)
            return None
        at = now + held + way.arrive_s[stop]
        if way.jitter_s[stop]:
            at += self._draw.expovariate(1.0 / way.jitter_s[stop])
        return at

    def _approach(self, packet: Packet, ends: tuple[str, str], plan: Plan, gate: int, now: float, epoch: Epoch) -> None:
        """Bring it to the link `gate` of its way, where it queues behind those who come earlier."""
        at: float | None = now
        if gate:
            at = self._pass(packet, plan, gate - 1, now, epoch, onward=True)
        if at is not None:
            packet.ttl -= plan.spent(gate)
            near, far = (ends[0], *plan.way.hops, ends[1])[gate : gate + 2]
            self._schedule(at, self._gates[near, far], packet)

    def _cross(self, gate: Gate, packet: Packet, at: float) -> None:
        """It is its turn at a link that remembers."""
        epoch = self._timeline.at(at)
        if epoch is not self._entered:
            self._entered = epoch
            for ends, link in self._gates.items():
                link.change(epoch.wires.get(ends) or self._routing.wire(ends))
        leaves = gate.cross(packet.size, at, epoch.loads.get(gate.ends, 0.0))
        if leaves is not None:
            near, far = gate.ends
            self._travel(packet, near, leaves, epoch, far)
            if self._late:
                self._follow(epoch)

    # --- address translation

    def _leave(self, packet: Packet, plan: Plan, index: int, now: float, epoch: Epoch) -> None:
        """The router at `index` sends it on in its own name."""
        at = self._pass(packet, plan, index, now, epoch, onward=True)
        router = plan.way.hops[index]
        if at is not None and self._edges.outward(router, packet, at, epoch):
            packet.ttl -= plan.spent(index + 1)
            self._travel(packet, router, at, epoch)

    def _enter(self, packet: Packet, router: str, at: float, epoch: Epoch) -> None:
        """`router` has seen whom inside this is for, and sends it on."""
        end = self._end(packet.destination)
        if end is None or end.node == router:
            self._arrive(packet, End(router), at, epoch)
            return
        plan = self._plans.through(router, end.node, epoch)
        passed = self._pass(packet, plan, 0, at, epoch, onward=True) if plan and packet.ttl > 1 else None
        if passed is not None:
            packet.ttl -= 1
            self._travel(packet, router, passed, epoch)

    # --- what is met on the way

    def _meet(self, packet: Packet, plan: Plan, stop: int, now: float, epoch: Epoch) -> float | None:
        """What faults do to it before hop `stop`: the seconds that they hold it up, None when it goes no further."""
        held = 0.0
        for index, hook in plan.hooks:
            if index >= stop:
                continue
            at, router = now + held + plan.way.arrive_s[index], plan.way.hops[index]
            deed = hook.box.meet(packet, at)
            for forged in deed.forged:
                if deed.lag_s:
                    self._late.append((forged, router, at + deed.lag_s))
                else:
                    self._travel(forged, router, at, epoch)
            if not deed.passes:
                if hook.kind == "loop":
                    self._circle(packet, hook, packet.ttl - 1 - plan.spent(index), at, epoch)
                return None
            held += deed.held_s
            if deed.turned:
                packet.ttl -= plan.spent(index + 1)
                self._travel(packet, router, now + held + plan.way.arrive_s[index], epoch)
                return None
        return held

    def _too_narrow(self, packet: Packet, plan: Plan, stop: int) -> int | None:
        """Before hop `stop`, the first router whose next link is too narrow for it; None when none is.

        Without DF it goes on whole: fragments are not modelled. In IPv6 no router makes any (RFC 8200, 5).
        """
        if not packet.dont_fragment and ":" not in packet.source:
            return None
        way = plan.way
        return next((i for i in range(min(stop, len(way.hops))) if way.mtu[i + 1] < packet.size), None)

    def _too_big(self, packet: Packet, plan: Plan, index: int, now: float, epoch: Epoch) -> None:
        """The router at `index` says that the next link does not carry it, and what it carries (RFC 1191)."""
        way = plan.way
        at, word = now + way.arrive_s[index], way.mtu[index + 1]
        self._error(
            packet, way.hops[index], ip.FRAGMENTATION_NEEDED, packet.ttl - plan.spent(index), at, epoch, word=word
        )

    def _circle(self, packet: Packet, hook: Hook, steps: int, at: float, epoch: Epoch) -> None:
        """A packet goes back and forth between the two ends of a loop until its TTL runs out, `steps` later."""
        between = self._routing.way(hook.at, hook.other)
        at += steps * (between.arrive_s[-1] if between else 0.0)
        self._expire(packet, hook.other if steps % 2 else hook.at, 1, at, epoch)

    # --- ends

    def _arrive(self, packet: Packet, end: End, at: float, epoch: Epoch) -> None:
        node = end.node
        if not end.owned:
            if packet.ttl <= 1:
                self._expire(packet, node, packet.ttl, at, epoch)
            elif not end.silent:
                self._error(packet, node, end.code, packet.ttl, at, epoch)
        elif node in self._gateways:
            self._deliver(packet, node, at)
        elif self._edges.translate and self._edges.inward(node, packet, at):
            self._enter(packet, node, at, epoch)
        else:
            dns = DNS_PORT in {packet.destination_port, packet.source_port}  # to a forwarder: an answer
            service = self._resolvers.get(packet.destination, node) if dns else node
            if service in epoch.refusing or (service == node and node in self._routers):
                self._refuse(packet, node, at, epoch)
            elif service not in epoch.down and self._heeds(packet, node, at, epoch):
                self._deliver(packet, SERVERS, at)

    def _refuse(self, packet: Packet, node: str, at: float, epoch: Epoch) -> None:
        """What a host says at a port where nobody listens; a router that is asked for an echo answers it."""
        router = self._routers.get(node)
        if packet.protocol == ip.ICMP:
            if router is None:
                self._deliver(packet, SERVERS, at)
            elif packet.icmp_type == ip.ECHO and node not in epoch.silent:
                self._travel(echo_reply(packet, router.icmp_ttl), node, at + self._slow_path(router), epoch)
        elif packet.protocol == ip.TCP and not packet.flags & ip.RST and not packet.fragment:
            self._travel(refusal(packet), node, at, epoch)
        elif packet.protocol == ip.UDP:
            self._error(packet, node, ip.PORT_UNREACHABLE, packet.ttl, at, epoch)

    def _slow_path(self, router: Router) -> float:
        jitter = router.icmp_jitter_ms / 1e3
        return router.icmp_delay_ms / 1e3 + (self._draw.expovariate(1.0 / jitter) if jitter else 0.0)

    def _expire(self, packet: Packet, name: str, arrived_ttl: int, at: float, epoch: Epoch) -> None:
        self._error(packet, name, 0, arrived_ttl, at, epoch, kind=ip.TIME_EXCEEDED)

    def _expire_switched(self, packet: Packet, plan: Plan, index: int, at: float, epoch: Epoch) -> None:
        """A label's TTL runs out inside a label switched path: what is said of it goes on to the path's end first.

        The quoted TTL is the IP header's, which nobody has counted down since the path began (Donnet et al.,
        "Revealing MPLS tunnels obscured from traceroute", 2012).
        """
        tunnel, way = plan.tunnels[index], plan.way
        name, egress = way.hops[index], way.hops[tunnel.egress]
        if self._answers(packet, name, at, epoch):
            router = self._routers[name]
            before, over_v6 = way.hops[index - 1], ":" in packet.source
            came_by = self._interfaces.incoming(name, before, over_v6=over_v6) if index else None
            error = router_error(
                packet, router, ip.TIME_EXCEEDED, 0, arrived_ttl=tunnel.place, labelled=True, came_by=came_by
            )
            error.ttl -= tunnel.egress - index
            at += self._slow_path(router) + way.arrive_s[tunnel.egress] - way.arrive_s[index]
            self._travel(error, egress, at, epoch)

    def _answers(self, packet: Packet, name: str, at: float, epoch: Epoch) -> bool:
        """Whether node `name` may and will say what happened to `packet`."""
        if packet.is_error or packet.fragment or name in epoch.silent or name in epoch.down:
            return False
        if ":" in packet.source and name in self._routers and not self._routers[name].address6:
            return False
        return self._may_answer(name, packet.source, at, epoch)

    def _error(
        self,
        packet: Packet,
        name: str,
        code: int,
        arrived_ttl: int,
        at: float,
        epoch: Epoch,
        *,
        kind: int = ip.UNREACHABLE,
        **more: Any,
    ) -> None:
        """Node `name` says what happened to `packet`, if it may and will; with `more` of `router_error`'s."""
        if not self._answers(packet, name, at, epoch):
            return
        router = self._routers.get(name)
        if router is None:  # a server's own kernel
            error = packet.error(packet.destination, kind, code, ttl=64, arrived_ttl=arrived_ttl)
        else:
            at += self._slow_path(router)
            error = router_error(packet, router, kind, code, arrived_ttl=arrived_ttl, **more)
        self._travel(error, name, at, epoch)

    def _may_answer(self, name: str, peer: str, at: float, epoch: Epoch) -> bool:
        """Whether the limit on ICMP messages of node `name` leaves room for one more to `peer`; takes it."""
        limit = epoch.limits.get(name)
        if limit is None:
            return True
        limiter = self._limiters.get(name)
        if limiter is None or limiter.limit != limit:
            limiter = self._limiters[name] = Limiter(limit)
        return limiter.take(peer, at)

    def _heeds(self, packet: Packet, node: str, at: float, epoch: Epoch) -> bool:
        """Whether a server takes it: one that limits its echo replies ignores further requests, one that has no room
        for connections some SYNs.
        """
        if epoch.syn_loss and packet.protocol == ip.TCP and packet.flags & (ip.SYN | ip.ACK) == ip.SYN:
            return self._draw.random() >= epoch.syn_loss.get(node, 0.0)
        asks = packet.protocol == ip.ICMP and packet.icmp_type == ip.ECHO
        return not asks or self._may_answer(node, packet.source, at, epoch)

    def _deliver(self, packet: Packet, node: str, at: float) -> None:
        """Schedule it, never before an earlier packet of the same flow: jitter delays, it does not overtake."""
        ends = (packet.source, packet.destination, packet.source_port, packet.destination_port)
        last = self._last
        before = last.get(ends, 0.0)
        if before > at:
            at = before
        elif len(last) >= _FLOWS:
            last.clear()
        last[ends] = at
        self._schedule(at, node, packet)

    def _schedule(self, at: float, where: str | Gate, packet: Packet) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, where, packet))
