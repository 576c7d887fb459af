"""The table of origin AS numbers: what it says, how it is built, and what it refuses."""

import csv
import gzip
import ipaddress
import random
import tempfile
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from netprobe.topology import asn, asn_file
from netprobe.topology.addresses import is_public
from netprobe.topology.asn import OVERRIDES, TABLE, AsnError, AsnTable, Origin, Override, apart
from netprobe.topology.asn_file import AsnFile
from netprobe.topology.asn_sources import NAME_LIMIT, build, clean_name

#: Addresses whose network has been the same for years.
WELL_KNOWN = {
    "1.1.1.1": 13335,  # Cloudflare's resolver
    "1.0.0.1": 13335,
    "104.16.132.229": 13335,
    "8.8.8.8": 15169,  # Google's resolver
    "8.8.4.4": 15169,
    "142.250.185.78": 15169,
    "9.9.9.9": 19281,  # Quad9
    "149.112.112.112": 19281,
    "208.67.222.222": 36692,  # OpenDNS
    "4.2.2.2": 3356,  # Level 3's resolver
    "198.41.0.4": 397203,  # a.root-servers.net
    "192.5.5.241": 3557,  # f.root-servers.net
    "193.0.14.129": 25152,  # k.root-servers.net
    "199.7.83.42": 20144,  # l.root-servers.net
    "202.12.27.33": 7500,  # m.root-servers.net
    "151.101.1.69": 54113,  # Fastly
    "23.50.131.10": 20940,  # Akamai
    "17.253.144.10": 714,  # Apple
    "157.240.1.35": 32934,  # Facebook
    "208.80.154.224": 14907,  # Wikimedia
    "91.198.174.192": 14907,  # Wikimedia in Amsterdam: an override
    "13.107.42.14": 8068,  # Microsoft
    "205.251.242.103": 16509,  # Amazon
    "140.82.121.4": 36459,  # GitHub
    "193.0.6.139": 3333,  # RIPE NCC
    "217.0.43.1": 3320,  # Deutsche Telekom
    "194.25.2.129": 3320,
    "68.87.85.98": 7922,  # Comcast's resolver
    "193.252.19.3": 3215,  # Orange's resolver
    "62.115.120.1": 1299,  # Arelion
    "129.250.35.250": 2914,  # NTT
    "71.18.1.1": 396986,  # ByteDance
    "161.117.1.1": 45102,  # Alibaba
    "162.62.1.1": 132203,  # Tencent
    "2606:4700:4700::1111": 13335,
    "2001:4860:4860::8888": 15169,
    "2620:fe::fe": 19281,
    "2001:500:2f::f": 3557,  # f.root-servers.net
    "2a02:ec80:300:ed1a::1": 14907,  # Wikimedia
    "2a04:4e42::729": 54113,  # Fastly
    "2600:1400::1": 20940,  # Akamai
    "2605:340::1": 396986,  # ByteDance
    "2003:180:2::1": 3320,  # Deutsche Telekom
}

EXCHANGES = {
    "80.81.192.10": "DE-CIX Frankfurt",
    "80.249.208.1": "AMS-IX Amsterdam",
    "195.66.224.21": "LINX LON1",
    "206.126.236.17": "Equinix Ashburn",
    "187.16.216.1": "IX.br Sao Paulo",
    "2001:7f8::1a27:0:1": "DE-CIX Frankfurt",
    "2001:7f8:1::a501:3335:1": "AMS-IX Amsterdam",
    "2001:7f8:3f::1": "an exchange point",
}


@pytest.fixture(scope="module")
def table() -> AsnTable:
    """The table that comes with netprobe."""
    return AsnTable.open()


@pytest.mark.parametrize(("address", "asn"), WELL_KNOWN.items())
def test_well_known_addresses(table: AsnTable, address: str, asn: int) -> None:
    """The table knows the addresses that everybody knows."""
    origin = table.lookup(address)
    assert origin is not None
    assert (origin.asn, origin.exchange) == (asn, False)
    assert origin.name


@pytest.mark.parametrize(("address", "name"), EXCHANGES.items())
def test_exchanges_are_marked(table: AsnTable, address: str, name: str) -> None:
    """The peering LANs of the big exchanges are known as such, whoever leaks them."""
    origin = table.lookup(address)
    assert origin is not None
    assert (origin.name, origin.exchange) == (name, True)


@pytest.mark.parametrize(
    ("origin", "label"),
    [
        (Origin(7, "Seven"), "AS7 Seven"),
        (Origin(7, ""), "AS7"),
        (Origin(0, "TorIX Toronto", exchange=True), "TorIX Toronto"),
    ],
)
def test_a_network_is_shown_by_number_and_name(origin: Origin, label: str) -> None:
    """Neither an empty name nor a missing number is shown."""
    assert origin.label == label


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "100.64.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "192.0.2.1",
        "203.0.113.5",
        "240.0.0.1",
        "255.255.255.255",
        "0.0.0.1",
    ],
)
def test_addresses_of_nobody(table: AsnTable, address: str) -> None:
    """Private, shared, documentation and reserved addresses belong to no network."""
    assert table.lookup(address) is None


@pytest.mark.parametrize("text", ["", "x", "8.8.8", "8.8.8.8.8", "2606:4700:4700:::1111", "8.8.8.8\n", "\0", "٨.٨.٨.٨"])
def test_what_is_no_address_has_no_origin(table: AsnTable, text: str) -> None:
    """Text that is no address never raises."""
    assert table.lookup(text) is None


def test_an_ipv4_address_in_ipv6_clothes(table: AsnTable) -> None:
    """An IPv4-mapped address is the IPv4 one."""
    assert table.lookup("::ffff:8.8.8.8") == table.lookup("8.8.8.8")


def test_the_platforms_ases_are_in_the_table(table: AsnTable) -> None:
    """Every AS that the catalogue names announces something."""
    catalogue = tomllib.loads((TABLE.parent / "platforms" / "tiktok.toml").read_text(encoding="utf-8"))
    wanted = {*catalogue["own_asns"], *(asn for asns in catalogue["cdn_asns"].values() for asn in asns)}
    assert wanted <= {*table._file._numbers}


# --- building --------------------------------------------------------------------------------

_RANGE = st.tuples(st.integers(0, 600), st.integers(0, 40), st.sampled_from([1, 2, 3, 64512]))


@given(st.lists(_RANGE, max_size=25), st.lists(st.integers(0, 700), min_size=1, max_size=20))
def test_a_lookup_is_a_linear_scan(ranges: list[tuple[int, int, int]], asked: list[int]) -> None:
    """The binary search finds what reading the rows from top to bottom would find, gaps and overlaps included."""
    base = int(ipaddress.IPv4Address("20.0.0.0"))
    rows = sorted((base + first, base + first + length, asn) for first, length, asn in ranges)
    rows = [row for row in rows if row[2] != 64512]  # for private use: belongs to nobody
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "asn.csv"), Path(folder, "asn.bin")
        with source.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([*((*row, f"Net, {row[2]}") for row in rows), (1, 1, 9, "Nine")])
        build([source], out)
        with AsnTable.open(out) as table:
            for offset in asked:
                asn = next((asn for first, last, asn in rows if first <= base + offset <= last), None)
                expected = Origin(asn, f"Net, {asn}") if asn else None
                assert table.lookup(str(ipaddress.IPv4Address(base + offset))) == expected


@pytest.mark.parametrize("version", [4, 6])
def test_the_shipped_table_is_sorted_and_merged(version: int) -> None:
    """Ranges ascend from the first of all addresses, and neighbours belong to different networks."""
    file = AsnFile(TABLE)
    buckets, lows, systems, low_bits, _, _ = file._ranges[version]
    firsts = [
        bucket << low_bits | lows[at]
        for bucket, (begin, end) in enumerate(pairwise(buckets))
        for at in range(begin, end)
    ]
    assert firsts[0] == 0
    assert len(firsts) == len(systems)
    assert all(a < b for a, b in pairwise(firsts))
    found = [file.find(version, value) for value in firsts]
    assert all(a != b for a, b in pairwise(found))


def test_the_shipped_table_fits() -> None:
    """It takes 5 MB of the package at most, and tells of which day it is."""
    with AsnTable.open() as table:
        assert table.about.size == TABLE.stat().st_size <= 5_000_000
        assert table.about.date >= "2026-06-17"
        assert table.about.ranges > 400_000
        assert table.about.ranges_v6 > 150_000


def test_rows_may_be_written_both_ways_and_be_of_both_versions(tmp_path: Path) -> None:
    """Both spellings of the public CSV files are understood; a /48 belongs to one network."""
    source, other = tmp_path / "asn.csv", tmp_path / "asn6.csv"
    source.write_text(
        '20.0.1.0,20.0.1.255,64500,Example\n335544320,335544575,7,"Seven, Inc."\n\n20.0.2.0,20.0.2.255,7,"Seven, Inc."\n',
        encoding="utf-8",
    )
    other.write_text(
        "2001:200::,2001:200:1b9:ffff:ffff:ffff:ffff:ffff,2500,WIDE\n2001:300::,2001:300::ffff,8,Eight\n"
        '42540528727329395276160870415022948352,42540528727329395276160870415022948353,7,"Seven, Inc."\n',
        encoding="utf-8",
    )
    built = build([source, other], tmp_path / "asn.bin")
    assert (built.systems, built.size) == (3, (tmp_path / "asn.bin").stat().st_size)
    with AsnTable.open(tmp_path / "asn.bin") as table:
        assert table.lookup("20.0.0.9") == table.lookup("20.0.2.9") == Origin(7, "Seven, Inc.")
        assert table.lookup("20.0.1.9") is None  # AS64500 is for documentation
        assert table.lookup("2001:200:1b9::") == Origin(2500, "WIDE")
        assert table.lookup("2001:200:1ba:9::1") == Origin(7, "Seven, Inc.")
        assert table.lookup("2001:300:0:1::") == Origin(8, "Eight")
        assert table.lookup("2001:301::") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "1.0.0.0,1.0.0.255,13335,A\n1.0.1.0,1.0.1.255,x,B\n",
            "{}:2: expected first address, last address, AS number, name",
        ),
        ("1.0.0.255,1.0.0.0,13335,A\n", "{}:1: expected first address, last address, AS number, name"),
        ("1.0.0.0,13335\n", "{}:1: expected first address, last address, AS number, name"),
        (
            "",
            "{}: no row of a network in it; expected CSV or TSV rows of ranges, prefixes with AS numbers, or a MaxMind DB",
        ),
    ],
)
def test_a_source_that_is_not_understood(tmp_path: Path, text: str, message: str) -> None:
    """The message names the line; a table that was there stays."""
    source, out = tmp_path / "asn.csv", tmp_path / "asn.bin"
    source.write_text(text, encoding="utf-8")
    out.write_bytes(b"old")
    with pytest.raises(AsnError) as caught:
        build([source], out)
    assert str(caught.value) == message.format(source)
    assert out.read_bytes() == b"old"


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    """A missing or binary source is said to be so."""
    with pytest.raises(AsnError, match=r"nothing\.csv: cannot read it: No such file or directory$"):
        build([tmp_path / "nothing.csv"], tmp_path / "asn.bin")
    (tmp_path / "asn.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AsnError, match=r"asn\.csv: is not UTF-8 text"):
        build([tmp_path / "asn.csv"], tmp_path / "asn.bin")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Cloudflare, Inc.", "Cloudflare, Inc."),
        ("  Two\t words\x1b[31m\n", "Two words [31m"),
        ("Netnod - Netnod AB", "Netnod AB"),
        ("AS43448", ""),
        ("AS One", "AS One"),
        ("x" * 61, "x" * 59 + "…"),
        ("word, " * 20, "word, " * 9 + "word…"),
    ],
)
def test_names_are_cut_and_cleaned(name: str, shown: str) -> None:
    """A name is printable, single-spaced, not doubled, and at most 60 characters long."""
    assert clean_name(name) == shown


@given(st.text(max_size=200))
def test_any_name_can_be_shown(name: str) -> None:
    """No name breaks a terminal or a table."""
    shown = clean_name(name)
    assert shown.isprintable()
    assert len(shown) <= NAME_LIMIT


# --- refusing --------------------------------------------------------------------------------


def _small(folder: Path) -> Path:
    (folder / "asn.csv").write_text("20.0.0.0,20.0.0.255,7,Seven\n", encoding="utf-8")
    build([folder / "asn.csv"], folder / "asn.bin")
    return folder / "asn.bin"


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    """Cut short, lengthened or with one bit turned: never a wrong answer, always the same sentence."""
    path = _small(tmp_path)
    good = path.read_bytes()
    chance = random.Random(7)
    for _ in range(60):
        bad = bytearray(good)
        at = chance.randrange(12, len(bad))
        damage = chance.choice(("flip", "cut", "grow"))
        if damage == "flip":
            bad[at] ^= 1 << chance.randrange(8)
        elif damage == "cut":
            del bad[max(at, asn_file.HEADER_BYTES) - 1 :]
        else:
            bad += b"\0"
        path.write_bytes(bad)
        with pytest.raises(AsnError) as caught:
            AsnTable.open(path)
        if len(bad) >= asn_file.HEADER_BYTES:
            assert str(caught.value) == (
                f'{path}: is damaged (its checksum does not agree); make it anew with "netprobe asn import FILE"'
            )


def test_another_kind_of_file(tmp_path: Path) -> None:
    """What is no table, is of another version, or is not there, is said to be so."""
    path = _small(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:8] + b"\x01" + good[9:])
    with pytest.raises(
        AsnError, match=r'asn\.bin: has version 1, not 3; make it anew with "netprobe asn import FILE"$'
    ):
        AsnTable.open(path)
    for content in (b"", b"hello", b"netp-asn"):
        path.write_bytes(content)
        with pytest.raises(AsnError, match=r'asn\.bin: is not an AS table; "netprobe asn import FILE" makes one$'):
            AsnTable.open(path)
    with pytest.raises(AsnError, match=r"nothing\.bin: cannot read the AS table: No such file or directory; "):
        AsnTable.open(tmp_path / "nothing.bin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("override = 3", r"mine\.toml: Expected `array`, got `int` - at `\$\.override`"),
        ('[[override]]\nprefix = "1.2.3.4/8"\nname = "x"\nreason = "y"', r"mine\.toml: 1\.2\.3\.4/8 has host bits set"),
        ('[[override]]\nprefix = "1.2.3.4"\nnam = "x"', r"mine\.toml: Object "),
        ("[[", r"mine\.toml: "),
    ],
)
def test_overrides_that_are_not_understood(tmp_path: Path, text: str, message: str) -> None:
    """A wrong row of overrides is refused, with its file."""
    mine = tmp_path / "mine.toml"
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(AsnError, match=message):
        AsnTable.open(_small(tmp_path), mine)


def test_overrides_apply_to_every_table(tmp_path: Path) -> None:
    """An imported table has the exchanges too, and the longest prefix wins."""
    with AsnTable.open(_small(tmp_path)) as table:
        assert table.lookup("80.81.192.1") == Origin(6695, "DE-CIX Frankfurt", exchange=True)
    mine = tmp_path / "mine.toml"
    rows = [("20.0.0.0/16", "Wide"), ("20.0.0.0/30", "Narrow"), ("2606:4700::/32", "Six")]
    mine.write_text(
        "\n".join(f'[[override]]\nprefix = "{p}"\nname = "{n}"\nreason = "a test"\nasn = 5' for p, n in rows),
        encoding="utf-8",
    )
    with AsnTable.open(tmp_path / "asn.bin", mine) as table:
        asked = ("20.0.0.1", "20.0.0.9", "20.0.9.9", "20.1.0.0", "2606:4700::1", "2607::1")
        names = [origin.name if (origin := table.lookup(address)) else None for address in asked]
    assert names == ["Narrow", "Wide", "Wide", None, "Six", None]


def test_every_override_has_its_reason() -> None:
    """The rows are public prefixes, each once, each with a name and a reason."""
    rows: tuple[Override, ...] = asn._read_overrides(OVERRIDES)
    assert len({row.prefix for row in rows}) == len(rows)
    for row in rows:
        assert is_public(row.prefix.split("/", maxsplit=1)[0])
        assert row.reason.endswith(".")
        assert clean_name(row.name) == row.name
        assert row.asn or row.exchange


# --- sources ---------------------------------------------------------------------------------


def test_iptoasn(tmp_path: Path) -> None:
    """Five columns between tabs, compressed or not; AS 0 is nobody."""
    text = "1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n2001:200::\t2001:200:ffff:ffff:ffff:ffff:ffff:ffff\t2500\tJP\tWIDE\n"
    plain, packed = tmp_path / "ip2asn.tsv", tmp_path / "ip2asn.tsv.gz"
    plain.write_text(text, encoding="utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    for source in (plain, packed):
        build([source], tmp_path / "asn.bin", date=20261129)
        with AsnTable.open(tmp_path / "asn.bin") as table:
            assert table.lookup("1.0.0.9") == Origin(13335, "CLOUDFLARENET")
            assert table.lookup("1.0.2.9") is None
            assert table.lookup("2001:200::9") == Origin(2500, "WIDE")
            assert table.about.date == "2026-11-29"


def test_prefixes_with_origins(tmp_path: Path) -> None:
    """pfx2as: the longest prefix holds, the first of several origins; another file may bring the names."""
    source, names = tmp_path / "pfx2as", tmp_path / "names.csv"
    source.write_text("20.0.0.0\t8\t7\n20.1.0.0\t16\t8_9\n20.1.2.0\t24\t7,10\n2001:200::\t32\t2500\n", encoding="utf-8")
    names.write_text("9.0.0.0,9.0.0.255,8,Eight\n", encoding="utf-8")
    build([source, names], tmp_path / "asn.bin")
    with AsnTable.open(tmp_path / "asn.bin") as table:
        asked = ("20.0.0.1", "20.1.0.1", "20.1.2.1", "20.1.3.1", "20.2.0.0", "21.0.0.0", "2001:200::1")
        found = [origin and (origin.asn, origin.name) for origin in map(table.lookup, asked)]
    assert found == [(7, ""), (8, "Eight"), (7, ""), (8, "Eight"), (7, ""), None, (2500, "")]


def test_maxmind(tmp_path: Path) -> None:
    """A MaxMind DB of both versions of IP, written by another tool."""
    writer = MMDBWriter(6, "Test-ASN", ipv4_compatible=True)
    fields = {"autonomous_system_number": 13335, "autonomous_system_organization": "Cloudflare"}
    writer.insert_network(IPSet(["1.0.0.0/24", "2606:4700::/32"]), fields)
    writer.insert_network(IPSet(["20.0.0.0/16"]), {"asn": "AS7", "name": "Seven"})
    writer.to_db_file(str(tmp_path / "asn.mmdb"))
    build([tmp_path / "asn.mmdb"], tmp_path / "asn.bin")
    with AsnTable.open(tmp_path / "asn.bin") as table:
        assert table.lookup("1.0.0.9") == table.lookup("2606:4700::1") == Origin(13335, "Cloudflare")
        assert table.lookup("20.0.9.9") == Origin(7, "Seven")
        assert table.lookup("1.0.1.0") is None
    damaged = (tmp_path / "asn.mmdb").read_bytes()
    (tmp_path / "asn.mmdb").write_bytes(damaged[:40] + b"\xff" * 60 + damaged[100:])
    with pytest.raises(AsnError, match=r"asn\.mmdb: is a MaxMind DB that cannot be read"):
        build([tmp_path / "asn.mmdb"], tmp_path / "asn.bin")


def test_more_networks_than_sixteen_bits_count(tmp_path: Path) -> None:
    """Systems beyond the 65,535th are found too, in both versions of IP, and have their names."""
    source = tmp_path / "asn.csv"
    rows = [f"{(20 << 24) + n * 256},{(20 << 24) + n * 256 + 255},{100_000 + n},Net {n}" for n in range(66_000)]
    rows += [
        f"{(0x2001 << 112) + (n << 80)},{(0x2001 << 112) + (n << 80)},{100_000 + n},Net {n}"
        for n in range(0x1000, 0x1100)
    ]
    source.write_text("\n".join(rows), encoding="utf-8")
    build([source], tmp_path / "asn.bin")
    with AsnTable.open(tmp_path / "asn.bin") as table:
        for n in (0, 1, 65_533, 65_534, 65_535, 65_999):
            address = str(ipaddress.IPv4Address((20 << 24) + n * 256 + 7))
            assert table.lookup(address) == Origin(100_000 + n, f"Net {n}")
        assert table.lookup("2001:0:1001::1") == Origin(100_000 + 0x1001, "Net 4097")


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 8)), max_size=12), st.integers(0, 255))
def test_spans_within_each_other(prefixes: list[tuple[int, int]], asked: int) -> None:
    """Taken apart, each number has what the narrowest span around it has."""
    spans = [(at >> bits << bits, (at >> bits << bits) + (1 << bits) - 1, bits) for at, bits in set(prefixes)]
    parts = list(apart(spans))
    assert all(a[1] < b[0] for a, b in pairwise(parts))
    narrowest = min((bits for first, last, bits in spans if first <= asked <= last), default=None)
    assert next((bits for first, last, bits in parts if first <= asked <= last), None) == narrowest
