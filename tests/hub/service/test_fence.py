"""What a request may lead to, and what it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilepipe_hub.fence import (
    Place,
    address_refusal,
    callback_refusal,
    crs_refusal,
    crs_texts,
    data_refusal,
    link_place,
    place_refusal,
)
from tilepipe_hub.settings import Fence

HOSTS = ("data.example.com", "*.tiles.example", "own.example:8443", "any.example:*", "[2606:4700::1]")
FENCE = Fence(
    input_roots=("/data", "/vsis3/bucket", "s3://bucket/public/"),
    input_hosts=HOSTS,
    callback_hosts=("hooks.example.com",),
    http_hosts=("plain.example",),
    private_hosts=("intern.example",),
)


@pytest.mark.parametrize(
    "name",
    [
        "/data/dem.tif",
        "/data/a b/ümlaut.tif",
        "/data/x.nc",
        "/vsis3/bucket/a/b.tif",
        "s3://bucket/public/a.tif",
        "https://data.example.com/a.tif?x=1&y=2",
        "https://DATA.example.com./a.tif",
        "https://data.example.com:443/a.tif",
        "https://a.b.tiles.example/x",
        "https://own.example:8443/x",
        "https://any.example:99/x",
        "https://[2606:4700::1]/x",
        "https://data.example.com/a.tif?token=${TOKEN}",
    ],
)
def test_what_is_on_the_list_may_be_read(name):
    assert data_refusal(name, FENCE, real=lambda path: path) is None


ATTACKS = [
    "/etc/passwd",
    "/data/../etc/passwd",
    "/data/./../../etc/passwd",
    "/data/..",
    "/database/x.tif",
    "../data/x.tif",
    "data/x.tif",
    "./x.tif",
    "~/x.tif",
    "~root/x.tif",
    "/proc/self/environ",
    "/dev/stdin",
    "",
    " /data/x.tif",
    "/data/x.tif\n",
    "/data/x\0.tif",
    "\\\\host\\share\\x.tif",
    "C:\\data\\x.tif",
    "/data/..\\..\\etc\\passwd",
    "file:///etc/passwd",
    "FILE:///data/x.tif",
    "s3://bucket/private/x.tif",
    "s3://bucket/public/../private/x.tif",
    "s3://bucket/publicity/x.tif",
    "gs://bucket/x.tif",
    "zip:///data/x.zip!x.tif",
    "zip+https://data.example.com/x.zip!x.tif",
    "/vsicurl/https://data.example.com/x.tif",
    "/vsicurl/http://169.254.169.254/latest/meta-data/",
    "/vsicurl?url=http://169.254.169.254/",
    "/vsimem/x.tif",
    "/vsistdin/",
    "/vsizip//data/x.zip/x.tif",
    "/vsitar/{/vsicurl/http://localhost/}",
    "/vsis3/bucket/../other/x.tif",
    "/vsis3/bucketeer/x.tif",
    "/vsis3/bucket/x/vsicurl/http://localhost/",
    "/vsisubfile/0_100,/etc/passwd",
    "/vsisparse//etc/passwd",
    "NETCDF:/data/x.nc:band",
    'HDF5:"/etc/passwd"://x',
    "GTIFF_DIR:1:/etc/passwd",
    "PG:host=localhost dbname=hub",
    "WMS:http://localhost/",
    "DERIVED_SUBDATASET:LOGAMPLITUDE:/etc/passwd",
    "vrt:///etc/passwd?bands=1",
    'STACTA:"http://localhost/x.json"',
    "<VRTDataset rasterXSize='1'><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>",
    "<GDAL_WMS><Service name='TMS'><ServerUrl>http://localhost/</ServerUrl></Service></GDAL_WMS>",
    '{"type": "FeatureCollection"}',
    "[0, 1]",
    "${HOME}/x.tif",
    "/data/${SECRET}/x.tif",
    "https://${HOST}/x.tif",
    "https://data.example.com@evil.example/x",
    "https://data.example.com:pw@evil.example/x",
    "https://evil.example/data.example.com",
    "https://evil.example#data.example.com",
    "https://evil.example?data.example.com",
    "https://data.example.com.evil.example/x",
    "https://evildata.example.com/x",
    "https://tiles.example/x",
    "https://eviltiles.example/x",
    "https://data.example.com:22/x",
    "https://own.example/x",
    "https://data.example.com\\@evil.example/x",
    "https://data.example.com%2f@evil.example/",
    "https://data.example.com%00.evil.example/",
    "https://data.example.com\t.evil.example/",
    "https://data.example.com:99999/",
    "https://[::ffff:127.0.0.1]/x",
    "https://[2606:4700::2]/x",
    "https://[data.example.com]/x",
    "https:///data.example.com/x",
    "https:data.example.com/x",
    "http://data.example.com/x",
    "http://127.0.0.1/x",
    "http://localhost/x",
    "HTTP://localhost/x",
    "https://d\u0430ta.example.com/x",
    "ftp://data.example.com/x",
]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_way_round_is_refused(name):
    assert data_refusal(name, FENCE, real=lambda path: path) is not None


@pytest.mark.parametrize("name", [name for name in ATTACKS if "://" in name or not name.startswith("/")])
def test_a_way_round_is_no_callback(name):
    assert callback_refusal(name, FENCE) is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "127.0.0.1.",
        "①②⑦.⓪.⓪.①",
        "[::1%25lo]",
        "a..b",
        "-a",
    ],
)
def test_an_odd_spelling_of_a_host_stays_what_it_is(host):
    star = Fence(input_hosts=("*",), http_hosts=("*",))

    place = link_place(f"http://{host}/")

    assert isinstance(place, str) or address_refusal(place.host, place.host, star) is not None


def test_a_symbolic_link_does_not_lead_out(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.tif").write_text("x")
    (root / "way.tif").symlink_to(tmp_path / "secret.tif")
    (root / "up").symlink_to(tmp_path)
    (root / "plain.tif").write_text("x")
    fence = Fence(input_roots=(str(root),))

    assert data_refusal(f"{root}/plain.tif", fence) is None
    assert data_refusal(f"{root}/way.tif", fence) is not None
    assert data_refusal(f"{root}/up/secret.tif", fence) is not None


def test_a_root_may_be_a_symbolic_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")

    assert data_refusal(f"{tmp_path}/root/x.tif", Fence(input_roots=(f"{tmp_path}/root",))) is None


def test_without_a_list_nothing_may_be_read():
    assert all(data_refusal(name, Fence()) for name in ("/", "/data/x.tif", "https://example.com/", "s3://b/x"))


@given(st.text(max_size=40))
def test_no_text_passes_an_empty_fence(name):
    assert data_refusal(name, Fence()) is not None
    assert callback_refusal(name, Fence()) is not None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    ],
)
def test_a_private_address_is_refused(address):
    assert address_refusal(address, "harmless.example", FENCE) is not None


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_spoken_to(address):
    assert address_refusal(address, "harmless.example", FENCE) is None


def test_a_private_host_has_to_be_named():
    assert address_refusal("10.0.0.1", "intern.example", FENCE) is None
    assert address_refusal("169.254.169.254", "intern.example", FENCE) is not None


def test_without_tls_only_hosts_of_that_list():
    fence = Fence(input_hosts=("plain.example", "other.example"), http_hosts=("plain.example",))

    assert data_refusal("http://plain.example/x", fence) is None
    assert data_refusal("http://other.example/x", fence) == "leads to other.example without TLS; use https"


def test_a_link_is_taken_apart():
    assert link_place("HTTPS://Example.COM.:8443/x?y#z") == Place(scheme="https", host="example.com", port=8443)


@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:3857",
        "ESRI:54009",
        "3857",
        "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80 +units=m",
        'PROJCS["WGS 84 / UTM zone 33N",GEOGCS["WGS 84"]]',
        "http://www.opengis.net/def/crs/EPSG/0/3857",
        "urn:ogc:def:crs:EPSG::4326",
    ],
)
def test_a_crs_may_be_named_or_written_out(crs):
    assert crs_refusal(crs) is None


@pytest.mark.parametrize(
    "crs",
    [
        "/etc/passwd",
        "http://169.254.169.254/",
        "https://www.opengis.net.evil.example/def/crs/EPSG/0/1",
        "file.prj",
        "ESRI::/etc/passwd",
        "+init=/etc/passwd:1",
        "+proj=longlat +nadgrids=/etc/passwd",
        "+proj=longlat +nadgrids=passwd",
        'GEOGCS["x",EXTENSION["PROJ4","+nadgrids=/etc/passwd"]]',
        "IMPORT_FROM_WKT_FILE:x",
        "",
    ],
)
def test_a_crs_opens_no_file(crs):
    assert crs_refusal(crs) is not None


def test_every_crs_of_a_recipe_is_found():
    recipe = {"inputs": {"dem": {"path": "x", "crs": "A"}}, "area": {"crs": "B"}, "pyramid": {"grid": [{"crs": "C"}]}}

    assert dict(crs_texts(recipe)) == {
        ("inputs", "dem", "crs"): "A",
        ("area", "crs"): "B",
        ("pyramid", "grid", "0", "crs"): "C",
    }


@pytest.mark.parametrize("link", ["https://data.example.com", "https://any.example:99", "https://rooted.example:8443"])
def test_a_job_may_speak_to_hosts_on_the_list_and_those_that_roots_spell(link):
    fence = FENCE.model_copy(update={"input_roots": ("/vsicurl/https://rooted.example:8443/a", "/data/http")})

    assert place_refusal(link_place(link), fence) is None


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("https://rooted.example", "which is not on this service's list"),
        ("http://rooted.example:8443", "which is not on this service's list"),
        ("https://hooks.example.com", "which is not on this service's list"),
        ("https://bucket.s3.amazonaws.com", "which is not on this service's list"),
        ("http://any.example:99", "without TLS"),
    ],
)
def test_a_job_may_speak_to_no_other_host(link, reason):
    fence = FENCE.model_copy(update={"input_roots": ("/vsicurl/https://rooted.example:8443/a", "/vsis3/bucket/")})

    assert reason in place_refusal(link_place(link), fence)
