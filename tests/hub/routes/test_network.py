"""Hosts that a job may read from, and others that it is led to."""

import datetime as dt
import ipaddress
import ssl

import numpy as np
import pytest
import rasterio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hub.routes.serving import listening, serving
from hub.routes.test_reach import HEAD, PLACED, SIDE, SOURCE
from tilepipe_hub.running.confine import guards_ports

guarded = pytest.mark.skipif(not guards_ports(), reason="this kernel guards no connections")

PROCESS = '''"""Speaks to a host by itself."""

import os
import socket
import urllib.request

import numpy as np
import rasterio

from tilepipe import Grid


def execute(grid: Grid, *, link: str = "", way: str = "urllib", port: int = 0):
    """Args:
        link: where to.
        way: by what.
        port: of a host that is spoken to without the proxy.
    """
    if way == "urllib":
        print(urllib.request.urlopen(link).read())
    if way == "unset":
        for name in list(os.environ):
            if "proxy" in name.lower():
                del os.environ[name]
        print(urllib.request.urlopen(link).read())
    if way == "other":
        with rasterio.Env(GDAL_HTTP_PROXY="", GDAL_HTTPS_PROXY=""):
            rasterio.open("/vsicurl/" + link)
    if way == "tcp":
        socket.create_connection(("127.0.0.1", port))
    if way == "mptcp":
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", port))
    if way == "fastopen":
        socket.socket().sendto(b"GET / HTTP/1.0", 0x20000000, ("127.0.0.1", port))
    if way == "udp":
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
    return np.ones((1, grid.height, grid.width), "uint8")
'''


def image(value):
    """Bytes of a small GeoTIFF."""
    with rasterio.MemoryFile() as file:
        with file.open(driver="GTiff", dtype="uint8", count=1, width=SIDE, height=SIDE, **PLACED) as to:
            to.write(np.full((1, SIDE, SIDE), value, "uint8"))
        return file.read()


@pytest.fixture(scope="module")
def ours():
    """The host that data may be read from."""
    with listening() as listener:
        listener.files["/plain.tif"] = (200, {}, image(5))
        listener.files["/bucket/plain.tif"] = (200, {}, image(5))
        listener.files["/other/plain.tif"] = (200, {}, image(5))
        yield listener


@pytest.fixture(scope="module")
def theirs():
    """A host that nobody may speak to."""
    with listening() as listener:
        listener.files["/secret.tif"] = (200, {}, image(77))
        yield listener


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A host that data may be read from with TLS, and the certificate it is known by."""
    folder = tmp_path_factory.mktemp("tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified(folder))
    with listening() as listener:
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        listener.url = listener.url.replace("http:", "https:")
        listener.files["/plain.tif"] = (200, {}, image(5))
        yield listener, folder / "host.pem"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, ours, secure):
    folder = tmp_path_factory.mktemp("network")
    (folder / "processes").mkdir()
    (folder / "processes" / "speaks.py").write_text(PROCESS)
    (folder / "data").mkdir()
    listener, certificate = secure
    plain = f"127.0.0.1:{ours.server_port}"
    fence = {
        "input_roots": [str(folder / "data"), "/vsis3/bucket/"],
        "input_hosts": [plain, f"127.0.0.1:{listener.server_port}"],
        "http_hosts": [plain],
        "private_hosts": ["127.0.0.1", "169.254.169.254"],
    }
    bucket = {
        "AWS_S3_ENDPOINT": plain,
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_NO_SIGN_REQUEST": "YES",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**bucket, "GDAL_CURL_CA_BUNDLE": str(certificate)}.items():
            patch.setenv(name, value)
        with serving(folder, fence=fence, folders={"processes": str(folder / "processes")}, secrets=[*bucket]) as hub:
            yield hub


def certified(folder):
    """A file with a key and a certificate for the loopback address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "host.pem"
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


PYRAMID = {"value": {"grid": {"crs": "EPSG:3857", "bounds": [0, 0, 6400, 6400], "resolution": 100}}}
OUTPUT = {"value": {"dtype": "uint8", "nodata": 0}}


def ran(hub, href):
    """How a job that looks at a raster ends."""
    return hub.ended(hub.submit({"raster": {"href": str(href)}, "pyramid": PYRAMID, "output": OUTPUT}, "convert"))


def spoke(hub, **parameters):
    """How a job ends whose code speaks to a host by itself."""
    inputs = {"pyramid": PYRAMID, "output": OUTPUT, "zooms": {"value": {"min": 0, "max": 0}}, **parameters}
    return hub.ended(hub.submit(inputs, "speaks"))


def mosaic(hub, name):
    """One that names a source."""
    path = hub.folder / "data" / "mosaic.vrt"
    path.write_text(f"{HEAD}{SOURCE.format(name)}</VRTRasterBand></VRTDataset>")
    return path


def test_an_image_of_a_host_on_the_list_can_be_read(hub, ours):
    found = ran(hub, f"{ours.url}/plain.tif")

    assert found["status"] == "successful", found


def test_an_image_can_be_read_with_tls(hub, secure):
    found = ran(hub, f"{secure[0].url}/plain.tif")

    assert found["status"] == "successful", found


def test_a_bucket_can_be_read_whose_host_is_on_the_list(hub):
    found = ran(hub, "/vsis3/bucket/plain.tif")

    assert found["status"] == "successful", found


def test_a_mosaic_leads_to_hosts_on_the_list(hub, ours):
    found = ran(hub, mosaic(hub, f"/vsicurl/{ours.url}/plain.tif"))

    assert found["status"] == "successful", found


def test_a_redirection_leads_to_no_other_host(hub, ours, theirs):
    ours.files["/moved.tif"] = (302, {"Location": f"{theirs.url}/secret.tif"}, b"")

    found = ran(hub, f"{ours.url}/moved.tif")

    assert found["status"] == "failed"
    assert f"it leads to the host 127.0.0.1, port {theirs.server_port}, which is not on" in found["message"]
    assert theirs.calls == []


@pytest.mark.parametrize("place", ["http://169.254.169.254/latest", "https://169.254.169.254/latest"])
def test_a_redirection_leads_to_no_metadata(hub, ours, place):
    ours.files["/meta.tif"] = (302, {"Location": place}, b"")

    found = ran(hub, f"{ours.url}/meta.tif")

    assert found["status"] == "failed"
    assert "it leads to the host 169.254.169.254" in found["message"]
    assert found["exception"]["detail"] == found["message"]


def test_a_mosaic_leads_to_no_other_host(hub, theirs):
    path = mosaic(hub, f"/vsicurl/{theirs.url}/secret.tif")

    found = ran(hub, path)
    log = hub.client.get(f"/jobs/{found['jobID']}/log").text

    assert found["status"] == "failed"
    assert f"it leads to the host 127.0.0.1, port {theirs.server_port}, which is not on" in found["message"]
    assert "a connection was refused, as it leads to the host 127.0.0.1" in log
    assert theirs.calls == []


@guarded
def test_a_mosaic_leads_to_no_proxy_of_its_own(hub, theirs):
    path = mosaic(hub, f"/vsicurl?proxy={theirs.url}&amp;url=http://any.example/secret.tif")

    assert ran(hub, path)["status"] == "failed"
    assert theirs.calls == []


def test_code_reads_from_a_host_on_the_list(hub, ours):
    assert spoke(hub, way="urllib", link=f"{ours.url}/plain.tif")["status"] == "successful"


def test_code_is_told_why_it_reads_from_no_other_host(hub, theirs):
    found = spoke(hub, way="urllib", link=f"{theirs.url}/secret.tif")

    assert found["status"] == "failed"
    assert f"HTTP Error 403: it leads to the host 127.0.0.1, port {theirs.server_port}" in found["message"]


@guarded
@pytest.mark.parametrize("way", ["unset", "other", "tcp", "mptcp", "fastopen", "udp"])
def test_code_does_not_go_round_the_proxy(hub, theirs, way):
    found = spoke(hub, way=way, link=f"{theirs.url}/secret.tif", port=theirs.server_port)

    assert found["status"] == "failed"
    assert theirs.calls == []
