"""The platform's catalogue: what is in it, and how a wrong one is refused."""

from pathlib import Path

import pytest

from netprobe.model.targets import Platform
from netprobe.topology.platform import PLATFORMS, PlatformError, covers, load_platform, vendor_of

ROLES = {"web", "api", "video", "image", "static", "upload", "live", "login", "push", "config"}

GOOD = """
name = "Mine"
zones = ["mine.example"]
own_asns = [64500]
[cdn_asns]
akamai = [20940]
[[target]]
name = "www.mine.example"
role = "web"
vendor = "akamai"
essential = true
[[control]]
name = "one.one.one.one"
family = "cloudflare"
address = "1.1.1.1"
plain = { path = "/generate_204", status = 204 }
"""


@pytest.fixture(scope="module")
def tiktok() -> Platform:
    """The catalogue that comes with netprobe."""
    return load_platform()


def test_every_role_and_the_main_vendors_are_essential(tiktok: Platform) -> None:
    """A diagnosis sees every role, and every vendor that the names tell apart, with few names."""
    essential = [t for t in tiktok.targets if t.essential]
    assert {t.role for t in essential} == {t.role for t in tiktok.targets} == ROLES
    assert {t.vendor for t in essential} == {"akamai", "fastly", "cdn77", "own"}
    assert 12 <= len(essential) <= 14


def test_every_name_lies_in_a_zone(tiktok: Platform) -> None:
    """The platform's names are the platform's, the controls' are not."""
    assert all(covers(tiktok, t.name) for t in tiktok.targets)
    assert not any(covers(tiktok, c.name) for c in tiktok.controls)


def test_controls_are_independent(tiktok: Platform) -> None:
    """At least three families that need no DNS, one by DNS only, and another customer of two of the vendors."""
    assert len({c.family for c in tiktok.controls if c.address and c.resolver}) >= 3
    assert any(not c.address and not c.vendor for c in tiktok.controls)
    assert {c.vendor for c in tiktok.controls if c.vendor} == {"akamai", "fastly"}
    assert len({c.family for c in tiktok.controls if c.plain}) >= 2


def test_networks_belong_to_one_vendor(tiktok: Platform) -> None:
    """No AS is listed twice, and Google's that others take for ByteDance's is not listed at all."""
    asns = [*tiktok.own_asns, *(asn for group in tiktok.cdn_asns.values() for asn in group)]
    assert len(asns) == len(set(asns))
    assert 139190 not in asns


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("tiktok.com", True),
        ("WWW.TikTok.com.", True),
        ("*.tiktokcdn.com", True),
        ("a.b.c.tiktokv.com", True),
        ("nottiktok.com", False),
        ("tiktok.com.evil.example", False),
        ("com", False),
        ("", False),
    ],
)
def test_zones_end_at_labels(tiktok: Platform, name: str, *, inside: bool) -> None:
    """A name is the platform's by whole labels, whatever its case."""
    assert covers(tiktok, name) is inside


@pytest.mark.parametrize(("asn", "vendor"), [(396986, "own"), (20940, "akamai"), (212238, "cdn77"), (15169, "")])
def test_a_network_delivers_for_one_vendor(tiktok: Platform, asn: int, vendor: str) -> None:
    """The AS of an address says who delivers."""
    assert vendor_of(tiktok, asn) == vendor


def _load(folder: Path, text: str) -> Platform:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_platform(path)


def test_another_platform_is_another_file(tmp_path: Path) -> None:
    """A catalogue of one's own needs no code."""
    mine = _load(tmp_path, GOOD)
    assert (mine.name, mine.targets[0].path, mine.controls[0].resolver) == ("Mine", "/", False)
    assert load_platform(str(tmp_path / "mine.toml")) == mine


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("address =", "adress =", "unknown key 'adress' in [[control]] 'one.one.one.one' (did you mean 'address'?)"),
        ("role =", "rol =", "unknown key 'rol' in [[target]] 'www.mine.example' (did you mean 'role'?)"),
        (
            "role =",
            "zzz =",
            (
                "unknown key 'zzz' in [[target]] 'www.mine.example'"
                " (known: name, role, vendor, data_centre, path, essential, large_path)"
            ),
        ),
        (
            'path = "/gen',
            'pth = "/gen',
            "unknown key 'pth' in 'plain' of [[control]] 'one.one.one.one' (did you mean 'path'?)",
        ),
        (
            "/generate_204",
            "generate 204",
            (
                "'path' in 'plain' of [[control]] 'one.one.one.one': 'generate 204' is no path of a page: "
                "it begins with '/' and has no blanks"
            ),
        ),
        (
            "status = 204",
            "status = 503",
            "'status' in 'plain' of [[control]] 'one.one.one.one': 503 is no answer of a server that is well",
        ),
        (
            "status = 204",
            'status = 204, title = "x"',
            "'title' in 'plain' of [[control]] 'one.one.one.one': an answer of 204 has no page (RFC 9110, 6.4.1)",
        ),
        ("zones =", "zone =", "unknown key 'zone' at the top (did you mean 'zones'?)"),
        ("[[target]]", "[[targets]]", "unknown key 'targets' at the top (did you mean 'target'?)"),
        ('role = "web"', "role = 3", "'role' in [[target]] 'www.mine.example': expected 'str', got 'int'"),
        ('role = "web"', "", "[[target]] 'www.mine.example': object missing required field 'role'"),
        ('name = "www.mine.example"', "", "[[target]] number 1: object missing required field 'name'"),
        ('["mine.example"]', '"mine.example"', "'zones': expected 'array', got 'str'"),
        ("[20940]", '["20940"]', "'cdn_asns[...][0]': expected 'int', got 'str'"),
        (
            'zones = ["mine.example"]',
            'zones = ["mine.example"]\nscrubbing = ["prolexic"]',
            "unknown vendor 'prolexic' in 'scrubbing' (known: akamai)",
        ),
        (
            "essential = true",
            "",
            "no [[target]] is essential: mark those that every diagnosis asks with essential = true",
        ),
        ("[[target]]", "[target]", "'target' must be written as [[target]]"),
        (
            'vendor = "akamai"',
            'vendor = "akamia"',
            "unknown vendor 'akamia' in [[target]] 'www.mine.example' (did you mean 'akamai'?)",
        ),
        (
            '"1.1.1.1"',
            '"1.1.1.1"\naddress_v6 = "fe80::1"',
            "'address_v6' in [[control]] 'one.one.one.one': 'fe80::1' can be no server's on the IPv6 Internet",
        ),
        ('"1.1.1.1"', '"1.1.1"', "'address' in [[control]] 'one.one.one.one': '1.1.1' is not an IP address"),
        (
            '"one.one.one.one"',
            '"a.mine.example"',
            "[[control]] 'a.mine.example' lies in the platform's own zones: a control has nothing to do with it",
        ),
        (
            "[[control]]",
            '[[control]]\nname = "x"\nfamily = "y"\n[[control]]\nname = "x"\nfamily = "y"\n[[control]]',
            "[[control]] 'x' stands there twice",
        ),
        (
            "[[control]]",
            '[[region]]\nname = "here"\nsubnet = "192.168.1.0/24"\n[[control]]',
            "'subnet' in [[region]] 'here': '192.168.1.0/24' is no prefix of 8 to 24 bits of public IPv4 addresses",
        ),
        ('name = "Mine"', "name =", "is not TOML: Invalid value (at line 2, column 7)"),
    ],
)
def test_a_wrong_catalogue_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The message says which file, where in it, and what to do."""
    assert old in GOOD
    with pytest.raises(PlatformError) as caught:
        _load(tmp_path, GOOD.replace(old, new))
    assert str(caught.value) == f"mine.toml: {message}"


def test_a_catalogue_without_targets(tmp_path: Path) -> None:
    """A catalogue must have something to measure and something to compare it with."""
    with pytest.raises(PlatformError, match=r"^mine\.toml: there is no \[\[target\]\]$"):
        _load(tmp_path, 'name = "Mine"')


def test_a_missing_catalogue(tmp_path: Path) -> None:
    """A name that is not there is answered with those that are; a folder is no file."""
    with pytest.raises(PlatformError) as caught:
        load_platform("tictoc")
    assert str(caught.value) == (
        f"{PLATFORMS / 'tictoc.toml'}: no such file; give the path of a platform's .toml, or one of: tiktok"
    )
    with pytest.raises(PlatformError, match=r"cannot be read: Is a directory$"):
        load_platform(tmp_path)
    (tmp_path / "b.toml").write_bytes(b"\xff")
    with pytest.raises(PlatformError, match=r"cannot be read: it is not UTF-8 text$"):
        load_platform(tmp_path / "b.toml")
