"""Scenario files: read strictly, and wrong ones explained."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from netprobe.sim import library
from netprobe.sim.checks import KINDS
from netprobe.sim.interception import spread
from netprobe.sim.network import Network
from netprobe.sim.records import Client, Entry, Expect, Fault, Link, Match, Resolver, Route, Router, Server, Uplink
from netprobe.sim.routing import node_addresses
from netprobe.sim.scenario import ScenarioError, json_schema, load
from netprobe.topology.platform import load_platform
from tests import scenarios

GOOD = """
sentence = "Two routers."

[expect]
component = "none"
cause = "none.app_device"

[client]
address = "192.168.1.23/24"
gateway = "home"

[[router]]
name = "home"
address = "192.168.1.1"

[[router]]
name = "core"
address = "10.0.0.1"

[[link]]
ends = ["client", "home"]
delay_ms = 1.0

[[link]]
ends = ["home", "core"]
delay_ms = 1.0

[[server]]
name = "akamai-fra"
addresses = ["23.50.131.10"]
at = "core"

[[resolver]]
name = "isp"
address = "194.25.2.129"
at = "core"

[names]
"www.tiktok.com" = ["23.50.131.10"]
"v.tiktok.com" = { alias = "v.example.net", addresses = ["23.50.131.10"] }
"""
ALL = (*library.names(), *library.timelines())

#: What is changed or added (below where the first column is empty), and the line that comes of it behind "bad.toml: ".
WRONG = (
    (
        "[[router]]",
        "[client.facts]\nsignal_dbm = -70\n\n[[router]]",
        "[client.facts]: only a wireless link has a signal and retries: add 'wireless = true'",
    ),
    (
        "[[router]]",
        "[client.facts]\nwireless = true\nsignal_dbm = 70\n\n[[router]]",
        "'signal_dbm' in [client.facts]: 70 dBm is no signal that a radio hears",
    ),
    (
        "[[router]]",
        "[client.facts]\nsignal = -70\n[[router]]",
        "unknown key 'signal' in facts of [client] (did you mean 'signal_dbm'?)",
    ),
    (
        'addresses = ["23',
        'adress = ["23',
        "unknown key 'adress' in [[server]] 'akamai-fra' (did you mean 'addresses'?)",
    ),
    ("", "[[servers]]\n", "unknown key 'servers' at the top (did you mean 'server'?)"),
    ("", "xyz = 1\n", "[names] 'xyz' must be a table"),
    ("delay_ms = 1.0", 'delay_ms = "1"', "'delay_ms' in [[link]] number 1: expected 'float', got 'str'"),
    ('at = "core"\n\n[[res', "\n[[res", "[[server]] 'akamai-fra': object missing required field 'at'"),
    ('[[router]]\nname = "core"', '[router]\nname = "core"', "is not TOML"),
    ("[[router]]", "[router", "is not TOML"),
    ('sentence = "Two routers."', "", "'sentence' is missing: say in one sentence what happens"),
    ("[expect]", "[expected]", "unknown key 'expected' at the top (did you mean 'expect'?)"),
    ('component = "none"', 'component = "ips"', "[expect]: there is no component 'ips' (did you mean 'isp'?)"),
    (
        'cause = "none.app_device"',
        'cause = "none.app_device"\nnever = ["none"]',
        "[expect]: component 'none' is expected and in never",
    ),
    (
        'cause = "none.app_device"',
        'cause = "none.app_devise"',
        "[expect]: there is no cause 'none.app_devise' (did you mean 'none.app_device'?)",
    ),
    ('cause = "none.app_device"', 'cause = "xyz"', "[expect]: there is no cause 'xyz' (docs/causes.md lists them)"),
    (
        'cause = "none.app_device"',
        'cause = "isp.dns"',
        "[expect]: cause 'isp.dns' is one of component 'isp', not of 'none'",
    ),
    (
        'cause = "none.app_device"',
        'cause = "none.app_device"\nalso = ["isp.dns.falure"]',
        "[expect]: there is no cause 'isp.dns.falure' (did you mean 'isp.dns.failure'?)",
    ),
    (
        'cause = "none.app_device"',
        'cause = "none.app_device"\nalso = ["isp.dns.failure"]\nnever = ["isp"]',
        "[expect]: component 'isp' is expected and in never",
    ),
    (
        'cause = "none.app_device"',
        'cause = "none.app_device"\nmistaken_for = ["none.app_device"]',
        "[expect]: cause 'none.app_device' is expected and in mistaken_for",
    ),
    (
        'cause = "none.app_device"',
        'cause = "none.app_device"\nalso = ["none.app_device"]',
        "[expect]: cause 'none.app_device' is expected twice; also is for another one at the same time",
    ),
    ('gateway = "home"', 'gateway = "hom"', "'gateway' in [client]: there is no router 'hom' (did you mean 'home'?)"),
    ('gateway = "home"', "", "[client]: object missing required field 'gateway'"),
    (
        '"192.168.1.23/24"',
        '"192.168.1.999"',
        "'address' in [client]: '192.168.1.999' is not an IPv4 address with a prefix length",
    ),
    ('"10.0.0.1"', '"10.0.0.256"', "[[router]] 'core': '10.0.0.256' is not an IPv4 address"),
    ('"10.0.0.1"', '"192.168.1.1"', "[[router]] 'core' has the address 192.168.1.1 of [[router]] 'home'"),
    (
        'name = "core"',
        'name = "home"',
        "the name 'home' is used twice: routers, servers and resolvers need names of their own",
    ),
    (
        'ends = ["home", "core"]',
        'ends = ["home", "cora"]',
        "'ends' in [[link]] home - cora: there is no router 'cora' (did you mean 'core'?)",
    ),
    ('ends = ["home", "core"]', 'ends = ["home", "home"]', "no [[link]] leads from the client to [[router]] 'core'"),
    ('ends = ["home", "core"]', 'ends = ["home"]', "'ends' in [[link]] number 2: expected 'array' of length 2, got 1"),
    (
        '129"\nat = "core"',
        '129"\nat = "akamai-fra"',
        "'at' in [[resolver]] 'isp': there is no router 'akamai-fra' (known: home, core)",
    ),
    (
        'gateway = "home"',
        'gateway = "home"\nhosts = { "a.b" = "home" }',
        "'hosts' in [client]: 'home' is not an IPv4 address",
    ),
    (
        '129"',
        '129"\nupstream = "google"',
        "'upstream' in [[resolver]] 'isp': there is no resolver 'google' (known: )",
    ),
    (
        '129"',
        '129"\nzones = ["tiktok.com"]',
        "[[resolver]] 'isp': 'zones' and 'host' go together, and without 'upstream'",
    ),
    (
        "",
        '[[fault]]\nkind = "dwon"\nat = "core"\n',
        "unknown fault kind 'dwon' (did you mean 'down'?)",
    ),
    (
        "",
        '[[fault]]\nkind = "down"\nat = "cor"\n',
        "'at' in [[fault]] 'down': there is no router or server or resolver or client or uplink 'cor' (did you mean 'core'?)",
    ),
    (
        "",
        '[[fault]]\nkind = "certificate"\nat = "akamai-fra"\nexpired = true\nself_signed = true\n',
        (
            "'expired' in [[fault]] 'certificate': one thing is wrong with it: "
            "expired, not_yet_valid, unknown_issuer, self_signed, wrong_name"
        ),
    ),
    (
        "",
        '[[fault]]\nkind = "dns"\nat = "isp"\nmissing = true\n',
        "'missing' in [[fault]] 'dns': names that do not exist get 'addresses', and a resolver gives them",
    ),
    (
        "",
        '[[fault]]\nkind = "dns"\nat = "core"\ntruncate = true\n',
        "'truncate' in [[fault]] 'dns': it is a resolver that says that its answer is too long",
    ),
    (
        "[names]",
        '[names]\n"a.b" = { addresses = [], aaaa = ["::g"] }',
        "'aaaa' in [names] 'a.b': '::g' is not an IPv6 address",
    ),
    (
        "[names]",
        '[names]\n"a.b" = { addresses = [], alias = "c", aliases = ["d"] }',
        "[names] 'a.b' has an alias and aliases: write the whole chain into 'aliases'",
    ),
    (
        "",
        '[[fault]]\nkind = "hangup"\nat = "akamai-fra"\nwhen = "helo"\nhow = "reset"\n',
        "'when' in [[fault]] 'hangup': it is one of accepted, hello, upload, request, answer",
    ),
    (
        "",
        '[[fault]]\nkind = "hangup"\nat = "akamai-fra"\nwhen = "accepted"\nhow = "reset"\nserver_name = ["a"]\n',
        "'server_name' in [[fault]] 'hangup': nobody has said a name yet when a connection is accepted",
    ),
    (
        "",
        '[[fault]]\nkind = "hangup"\nat = "akamai-fra"\nwhen = "hello"\nhow = "reset"\nafter_bytes = 3\n',
        "'after_bytes' in [[fault]] 'hangup': it counts bytes of an upload or an answer",
    ),
    (
        "",
        '[[fault]]\nkind = "drop"\nat = "core"\nstatus = 503\n',
        "key 'status' means nothing in [[fault]] 'drop' (its keys: match, fraction)",
    ),
    (
        "",
        '[[fault]]\nkind = "drop"\nat = "core"\nmatch = { ports = 443 }\n',
        "unknown key 'ports' in match of [[fault]] 'drop' (did you mean 'port'?)",
    ),
    (
        "",
        '[[fault]]\nkind = "drop"\nat = "core"\nmatch = { protocol = "tpc" }\n',
        "'match' in [[fault]] 'drop': unknown protocol 'tpc' (did you mean 'tcp'?)",
    ),
    (
        "",
        '[[fault]]\nkind = "drop"\nat = "core"\nmatch = { destination = ["10.0.0.1/8"] }\n',
        "'match' in [[fault]] 'drop': '10.0.0.1/8' is not a prefix of IPv4 or IPv6",
    ),
    (
        "",
        '[[route]]\nprefix = "198.51.100.0/24"\nto = ""\n',
        "[[route]] '198.51.100.0/24': 'to' is empty, and the network has no such route to take away",
    ),
    ("", '[[fault]]\nkind = "loop"\nat = "core"\n', "'at' in [[fault]] 'loop': a loop is between two routers"),
    (
        "",
        '[[fault]]\nkind = "congestion"\nat = "core"\nload = 0.9\n',
        "'at' in [[fault]] 'congestion': a congestion is between two neighbours",
    ),
    (
        "",
        '[[fault]]\nkind = "congestion"\nat = ["core", "client"]\nload = 0.9\n',
        "'at' in [[fault]] 'congestion': no [[link]] joins core and client",
    ),
    (
        "",
        '[[fault]]\nkind = "congestion"\nat = ["home", "core"]\n',
        "[[fault]] 'congestion': 'load' is missing: what others send, as a fraction of the link's rate",
    ),
    (
        "",
        '[[fault]]\nkind = "congestion"\nat = ["home", "core"]\nload = 0.9\n',
        "[[fault]] 'congestion': [[link]] home - core has no 'rate_mbit' that could be used up",
    ),
    (
        "",
        '[[fault]]\nkind = "congestion"\nat = ["home", "core"]\nload = 0.9\ntowards = "cor"\n',
        "'towards' in [[fault]] 'congestion': unknown 'cor' (did you mean 'core'?)",
    ),
    (
        "",
        '[[fault]]\nkind = "link"\nat = ["home", "client"]\n',
        "[[fault]] 'link': what is different? Give one of delay_ms, jitter_ms, loss, loss_burst, rate_mbit, queue_ms",
    ),
    (
        "",
        '[[fault]]\nkind = "link"\nat = ["core", "client"]\nloss = 0.1\n',
        "'at' in [[fault]] 'link': no [[link]] joins core and client",
    ),
    (
        "",
        '[[fault]]\nkind = "link"\nat = ["home", "core"]\nqueue_ms = 10.0\n',
        "'queue_ms' in [[fault]] 'link': a link without 'rate_mbit' has no queue",
    ),
    (
        "",
        '[[fault]]\nkind = "link"\nat = ["home", "core"]\nloss = 1.0\nloss_burst = 4.0\n',
        "[[link]] home - core during [[fault]] 'link': a loss of 1 does not come in bursts of 4 packets",
    ),
    (
        "",
        '[[fault]]\nkind = "rate_limit"\nat = "core"\nper = "pear"\n',
        "'per' in [[fault]] 'rate_limit': unknown 'pear' (did you mean 'peer'?)",
    ),
    (
        "delay_ms = 1.0",
        "delay_ms = 1.0\nloss = 0.9\nloss_burst = 2.0",
        "[[link]] client - home: a loss of 0.9 does not come in bursts of 2 packets",
    ),
    (
        "delay_ms = 1.0",
        "delay_ms = 1.0\nloss_burst = 0.5",
        "'loss_burst' in [[link]] client - home: 0.5 is below 1 packet",
    ),
    (
        "delay_ms = 1.0",
        "delay_ms = 1.0\nback = { rate = 3.0 }",
        "unknown key 'rate' in back of [[link]] number 1 (did you mean 'rate_mbit'?)",
    ),
    ("delay_ms = 1.0", "delay_ms = 1.0\nback = {}", "'back' in [[link]] client - home says nothing that is different"),
    (
        "delay_ms = 1.0",
        "delay_ms = 1.0\nback = { loss = 2.0 }",
        "'loss' in 'back' of [[link]] client - home: 2 is not between 0 and 1",
    ),
    (
        'address = "10.0.0.1"',
        'address = "10.0.0.1"\nmangle = ["tll"]',
        "'mangle' in [[router]] 'core': unknown 'tll' (did you mean 'ttl'?)",
    ),
    (
        'address = "10.0.0.1"',
        'address = "10.0.0.1"\npropagate_ttl = false',
        "'propagate_ttl' in [[router]] 'core' means nothing without 'mpls'",
    ),
    (
        'address = "10.0.0.1"',
        'address = "10.0.0.1"\nmpls = [16, 1048576]',
        "'mpls' in [[router]] 'core': labels are at most 16 numbers of 20 bits",
    ),
    (
        'address = "10.0.0.1"',
        'address = "10.0.0.1"\nmpls = [16]\nextension = "rfc4950"',
        "'extension' in [[router]] 'core': unknown 'rfc4950' (known: rfc4884, legacy, wrong_length)",
    ),
    (
        'address = "10.0.0.1"',
        'address = "10.0.0.1"\nicmp_source = "192.168.1.1"',
        "[[router]] 'core' has the address 192.168.1.1 of [[router]] 'home'",
    ),
    (
        'address = "10.0.0.1"',
        'address = "10.0.0.1"\nquote = 4',
        "'quote' in [[router]] 'core': RFC 792 promises 8 bytes at least",
    ),
    (
        'address = "10.0.0.1"',
        'address = "10.0.0.1"\nrate_limit = { rate = 1.0, per = "all" }',
        "'per' in 'rate_limit' of [[router]] 'core': unknown 'all' (known: router, peer)",
    ),
    (
        "",
        '[[fault]]\nkind = "down"\nat = "core"\nbegin_s = 9.0\nend_s = 3.0\n',
        "[[fault]] 'down' begins at 9 s and ends at 3 s",
    ),
    (
        "",
        '[[fault]]\nkind = "dns"\nat = "core"\nsilence = true\n',
        "'at' in [[fault]] 'dns': a router forges answers: for silence or delay use the kinds 'drop' and 'delay'",
    ),
    (
        "",
        '[[fault]]\nkind = "throttle"\nat = "core"\n',
        "'rate_kbit' in [[fault]] 'throttle': nothing passes at 0 kbit/s: give a rate, or use the kind 'drop'",
    ),
    (
        "",
        '[[fault]]\nkind = "cutoff"\nat = "core"\n',
        "'after_bytes' in [[fault]] 'cutoff': cut off after how much? Give after_bytes, after_packets, or use the kind 'drop'",
    ),
    (
        "",
        '[[fault]]\nkind = "block_page"\nat = "core"\nstatus = 204\ntitle = "Blocked"\n',
        "'status' in [[fault]] 'block_page': an answer with this status has no page (RFC 9110, 15.3.5)",
    ),
    (
        "",
        '[[fault]]\nkind = "block_page"\nat = "core"\n',
        "'title' in [[fault]] 'block_page': the page says nothing: give 'title', 'body', or 'headers' with a location",
    ),
    (
        "",
        '[[fault]]\nkind = "stateful"\nat = "core"\nmatch = { protocol = "udp" }\n',
        "'match' in [[fault]] 'stateful': this kind is about TCP only",
    ),
    (
        "",
        '[[fault]]\nkind = "dns"\nat = "isp"\naddresses = ["10.0.0.1", "10.0.0.2"]\nseparate = true\n',
        "'separate' in [[fault]] 'dns': an answer for each address is for two addresses or more, and for routers: a resolver answers once",
    ),
    (
        "",
        '[[fault]]\nkind = "exhausted"\nat = "core"\n',
        "'at' in [[fault]] 'exhausted': only a router with 'nat' has ports that can run out",
    ),
    (
        'name = "core"',
        'name = "core"\nnat = { address = "87.138.40.7", prots = 9 }',
        "unknown key 'prots' in nat of [[router]] 'core' (did you mean 'ports'?)",
    ),
    (
        'name = "core"',
        'name = "core"\nnat = { address = "87.138.40.7", ports = 99999 }',
        "'ports' in nat of [[router]] 'core': an address has 64512 ports above 1023",
    ),
    (
        'name = "core"',
        'name = "core"\nnat = { address = "23.50.131.10" }',
        "[[server]] 'akamai-fra' has the address 23.50.131.10 of [[router]] 'core'",
    ),
    (
        'name = "core"',
        'name = "core"\nmss_clamp = 20',
        "'mss_clamp' in [[router]] 'core': 20 is below 28, which fits any link (RFC 791)",
    ),
    (
        "",
        '[[fault]]\nkind = "redirect"\nat = "core"\nto = "10.0.0.99"\n',
        "'to' in [[fault]] 'redirect': it is the address of no [[server]] and no [[resolver]]: who should answer?",
    ),
    (
        "",
        '[[fault]]\nkind = "redirect"\nat = "core"\nto = "23.50.131.10"\nmatch = { server_name = ["a.b"] }\n',
        "'match' in [[fault]] 'redirect': a connection is redirected from its beginning, before anybody says a name",
    ),
    (
        "",
        '[[router]]\nname = "side"\naddress = "10.9.9.1"\n[[link]]\nends = ["home", "side"]\ndelay_ms = 1.0\n[[fault]]\nkind = "certificate"\nat = "side"\nexpired = true\n',
        "'at' in [[fault]] 'certificate': no server is reached through it, so it breaks nothing open",
    ),
    (
        "",
        '[[fault]]\nkind = "drop"\nat = "core"\nfraction = 50.0\n',
        "'fraction' in [[fault]] 'drop': 50 is not between 0 and 1",
    ),
    (
        "delay_ms = 1.0",
        "delay_ms = -1.0",
        "'delay_ms' in [[link]] client - home: -1 is below 0",
    ),
    (
        "delay_ms = 1.0",
        "delay_ms = 1.0\nloss = 3.0",
        "'loss' in [[link]] client - home: 3 is not between 0 and 1",
    ),
    (
        "",
        '[[fault]]\nkind = "dns"\nat = "isp"\nrcode = "NXDOMIAN"\n',
        "'rcode' in [[fault]] 'dns': there is no response code 'NXDOMIAN' (did you mean 'NXDOMAIN'?)",
    ),
    ('= ["23.50.131.10"]\n"v', '= ["23.50.131"]\n"v', "[names] 'www.tiktok.com': '23.50.131' is not an IPv4 address"),
    (
        "[client]",
        'network = "typcial"\n[client]',
        "unknown key 'network' in [expect] (known: component, cause, never, also, mistaken_for, open)",
    ),
)


def written(folder: Path, text: str) -> Path:
    file = folder / "bad.toml"
    file.write_text(text)
    return file


def complaint(file: str | Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_who_breaks_tls_open_does_so_for_all_behind() -> None:
    """A certificate at a router or at the client is shown as if by each server that is reached through there."""
    at_home, on_the_way = load("home-tls-interception"), load("healthy")
    assert set(at_home.faults[0].at) == {server.name for server in at_home.servers}
    proxy = Fault("certificate", ("transit-b-1",), unknown_issuer=True)
    (spread_out,) = spread(msgspec.structs.replace(on_the_way, faults=(proxy,))).faults
    crossed = {
        s.name
        for s in on_the_way.servers
        if "transit-b-1" in {r.name for r in Network(on_the_way).hops(s.addresses[0])}
    }
    assert set(spread_out.at) == crossed
    assert 0 < len(crossed) < len(on_the_way.servers)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    """Short forms mean what they say: a list of addresses is a name without an alias."""
    scenario = load(written(tmp_path, GOOD))
    assert scenario.name == "bad"
    assert scenario.names["www.tiktok.com"].addresses == ("23.50.131.10",)
    assert scenario.names["v.tiktok.com"].alias == "v.example.net"


@pytest.mark.parametrize(("old", "new", "line"), WRONG, ids=[line for *_, line in WRONG])
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, line: str) -> None:
    """One line: the file, the place, and what was probably meant."""
    text = (
        GOOD.replace(old, new, 1)
        if old
        else new + GOOD
        if not new.startswith("[[") and new[:3] != "xyz"
        else GOOD + new
    )
    assert text != GOOD
    file = written(tmp_path, text)
    said = complaint(file)
    assert said.startswith(f"{file}: {line}")
    if line != "is not TOML":
        assert said == f"{file}: {line}"


def test_a_missing_file_names_those_that_are_close() -> None:
    """A misspelt built-in scenario gets a hint, anything else the way to the list."""
    assert (
        complaint("sni-rest")
        == "sni-rest: no such scenario (did you mean 'sni-reset' or 'mobile-sni-reset' or 'sni-drop'?)"
    )
    assert complaint("/nowhere/xyz.toml") == (
        '/nowhere/xyz.toml: no such scenario (run "netprobe lab list" for the built-in ones,'
        " or give the path of a .toml file)"
    )


def test_a_missing_network_names_those_that_there_are(tmp_path: Path) -> None:
    """`network` is one of the built-in ones, one beside the scenario, or a path."""
    file = written(tmp_path, 'network = "typcial"\n' + GOOD)
    assert complaint(file) == f"{file}: no network 'typcial' (did you mean 'typical'?)"
    file = written(tmp_path, "network = 3\n" + GOOD)
    assert complaint(file) == f"{file}: 'network' at the top: expected 'str', got 'int'"


def test_a_wrong_network_is_named_itself(tmp_path: Path) -> None:
    """What is wrong in a network's file is said with that file's name."""
    folder = tmp_path / "networks"
    folder.mkdir()
    (folder / "mine.toml").write_text('[[router]]\nnmae = "home"\n')
    file = written(tmp_path, 'network = "mine"\n' + GOOD)
    assert (
        complaint(file) == f"{folder / 'mine.toml'}: unknown key 'nmae' in [[router]] number 1 (did you mean 'name'?)"
    )


def test_a_file_without_a_client_is_no_network(tmp_path: Path) -> None:
    """There must be somebody who measures."""
    text = GOOD.replace("[client]", "[x]").replace('address = "192.168.1.23/24"\ngateway = "home"\n', "")
    file = written(tmp_path, text.replace("[x]\n", ""))
    assert complaint(file) == f'{file}: there is no [client], and no network = "..." that has one'


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    """A file that cannot be read is not a surprise."""
    file = tmp_path / "bad.toml"
    file.write_bytes(b"\xff\xfe")
    assert complaint(file) == f"{file}: cannot be read: it is not UTF-8 text"


@pytest.mark.parametrize("name", ALL)
def test_every_built_in_scenario_is_whole(name: str) -> None:
    """It loads, says what happens, and every address that its DNS knows is somebody's or expected to be nobody's."""
    scenario = scenarios.load(name)
    assert scenario.name == name
    assert scenario.sentence.endswith(".")
    owned = node_addresses(scenario)
    assert {address for entry in scenario.names.values() for address in entry.addresses} <= set(owned)
    assert set(scenario.client.resolvers) <= {
        address for resolver in scenario.resolvers for address in resolver.addresses
    }


@pytest.mark.parametrize("name", ALL)
def test_every_built_in_scenario_serves_the_catalogue(name: str) -> None:
    """Each name of the platform and each control resolves to a server whose certificate is good for it."""
    scenario = scenarios.load(name)
    platform = load_platform()
    owner = {address: server for server in scenario.servers for address in server.addresses}
    for name_ in [target.name for target in platform.targets] + [control.name for control in platform.controls]:
        entry = scenario.names[name_]
        for address in (*entry.addresses, *(a for row in entry.regions.values() for a in row)):
            good_for = owner[address].serves
            assert name_ in good_for or f"*.{name_.partition('.')[2]}" in good_for, f"{name_} at {owner[address].name}"


def test_every_cause_has_a_scenario() -> None:
    """What a verdict may name is something that a diagnosis was tried on."""
    table = Path(library.folder().parent, "netprobe", "data", "causes.toml")
    rows = tomllib.loads(table.read_text(encoding="utf-8"))["cause"]
    causes = {row["id"] for row in rows if row.get("weighed", True)}
    assert causes <= {scenarios.load(name).expect.cause for name in ALL}


def test_the_schema_describes_what_is_read() -> None:
    """The JSON Schema knows every table, and `at` and `names` in their short forms."""
    schema = json_schema()
    record = schema["$defs"]["Scenario"]
    assert {"network", "sentence", "expect", "client", "router", "link", "fault", "names"} <= set(record["properties"])
    assert record["additionalProperties"] is False
    assert {"type": "string"} in schema["$defs"]["Fault"]["properties"]["at"]["anyOf"]
    assert b"null" not in msgspec.json.encode({**schema["$defs"]["Fault"]["properties"]["end_s"]})


README = (library.folder() / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_the_manual_knows_every_kind_of_fault(kind: str) -> None:
    """A row of its table for each kind, with every key that means something there."""
    (row,) = [row for row in README.splitlines() if row.startswith(f"| `{kind}` |")]
    places, keys = KINDS[kind]
    assert all(place in row for place in places)
    assert all(f"`{key}" in row for key in keys)


@pytest.mark.parametrize("record", [Client, Uplink, Router, Link, Server, Resolver, Route, Entry, Expect, Match])
def test_the_manual_knows_every_key(record: type[msgspec.Struct]) -> None:
    """What a table may hold is shown in the manual."""
    missing = [key for key in record.__struct_fields__ if key not in README]
    assert missing == []


def test_the_examples_of_the_manual_are_right(tmp_path: Path) -> None:
    """Its situation loads as it stands; the tables of its network are read without a complaint about a key."""
    situation, network = (part.partition("```")[0] for part in README.split("```toml")[1:])
    assert load(written(tmp_path, situation)).expect.cause == "isp.core.blackhole"
    said = complaint(written(tmp_path, 'sentence = "x."\n[expect]\ncomponent = "none"\ncause = "x"\n' + network))
    assert said.endswith("there is no router 'lte-stick' (known: home-router)")
