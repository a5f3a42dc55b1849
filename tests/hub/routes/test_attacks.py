"""What strangers try."""

import contextlib
import http.client
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from hub.conformance.documents import check_exception
from hub.routes.serving import PLAIN, hash_of, serving

CLIMBS = [
    "..",
    "../..",
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "./stac.json",
    "stac.json/",
    "stac.json%00",
    "stac.json/..%2f..%2fjobs.db",
    ".tilepipe/recipe.yaml",
    ".tilepipe/job",
    "%2etilepipe/job",
    "0/.hidden",
    "%c0%ae%c0%ae/etc/passwd",
    "..;/etc/passwd",
    "out.tif",
    "up/jobs.db",
    "%ff",
]


def exact(hub, path):
    """Status and body of an answer to a path that nobody tidies up."""
    with contextlib.closing(http.client.HTTPConnection(hub.url.removeprefix("http://"))) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def made(hub, dem):
    """Address of a job with tiles, and of files around them that nobody is to see."""
    inputs = {"dem": {"href": dem}, "output": {"dtype": "uint8", "nodata": 0}}
    job = hub.submit(inputs, "hillshade")
    assert hub.ended(job)["status"] == "successful"
    folder = f"{hub.folder}/outputs/{job.rpartition('/')[2]}"
    (hub.folder / "outside.tif").write_text("secret")
    for name, target in (("out.tif", f"{hub.folder}/outside.tif"), ("up", str(hub.folder))):
        (hub.folder / "outputs" / folder / name).symlink_to(target)
    return job


@pytest.mark.parametrize("climb", CLIMBS)
def test_no_path_leads_out_of_a_jobs_folder(hub, made, climb):
    path = httpx.URL(made).path

    status, content = exact(hub, f"{path}/output/{climb}")

    assert status in {400, 404}
    assert b"root:" not in content
    assert b"secret" not in content


@pytest.mark.parametrize("climb", CLIMBS)
@pytest.mark.parametrize(
    "path", ["/processes/{}", "/jobs/{}", "/jobs/{}/results", "/jobs/{}/log", "/jobs/{}/output/x", "/pages/{}", "/{}"]
)
def test_no_name_is_taken_for_a_path(hub, path, climb):
    status, content = exact(hub, path.format(climb))

    assert status in {400, 404}
    assert b"root:" not in content


@pytest.mark.parametrize(
    "href",
    [
        "/etc/passwd",
        "../../etc/passwd",
        "file:///etc/passwd",
        "/vsicurl/http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "https://localhost/x.tif",
        "<VRTDataset/>",
        'HDF5:"/etc/passwd"://x',
        "/proc/self/environ",
        "s3://bucket/x.tif",
    ],
)
@pytest.mark.parametrize("form", ["link", "options", "recipe"])
def test_no_input_leads_where_it_may_not(hub, href, form):
    output = {"dtype": "uint8", "nodata": 0}
    if form == "recipe":
        recipe = {
            "process": "hillshade",
            "inputs": {"dem": href},
            "pyramid": {"grid": {"like": "dem"}},
            "output": output,
        }
        answer = hub.execute({"recipe": {"value": recipe}}, "recipe", prefer="respond-async")
    else:
        dem = {"href": href} if form == "link" else {"value": {"path": href}}
        answer = hub.execute({"dem": dem, "output": output}, "hillshade", prefer="respond-async")

    check_exception(answer, 400)


@pytest.mark.parametrize("crs", ["/etc/passwd", "http://169.254.169.254/", "+init=/etc/passwd:x"])
def test_no_crs_opens_a_file(hub, dem, crs):
    inputs = {"dem": {"value": {"path": dem, "crs": crs}}, "output": {"dtype": "uint8", "nodata": 0}}

    check_exception(hub.execute(inputs, "hillshade", prefer="respond-async"), 400)


@pytest.fixture(scope="module")
def wide_open(tmp_path_factory):
    """Every host is on the list; only private addresses are out of bounds."""
    everything = {key: ["*:*"] for key in ("input_hosts", "callback_hosts", "http_hosts")}
    with serving(tmp_path_factory.mktemp("open"), worker=False, fence=everything) as hub:
        yield hub


PRIVATE = ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_value_by_reference_is_not_fetched_from_within(wide_open, listener, host):
    link = listener.url.replace("127.0.0.1", host) + "/text"

    check_exception(wide_open.execute({"text": {"href": link}}), 400)

    assert listener.calls == []


@pytest.mark.parametrize("host", [*PRIVATE, "169.254.169.254", "10.0.0.1", "[fd00:ec2::254]"])
def test_a_callback_does_not_go_within(wide_open, host):
    subscriber = {"successUri": f"http://{host}:8080/"}

    check_exception(wide_open.execute({"text": "x"}, subscriber=subscriber), 400)


def test_a_redirection_does_not_lead_within(tmp_path, listener):
    listener.files["/there"] = (302, {"Location": f"http://localhost:{listener.server_port}/text"}, b"")
    fence = {"input_hosts": ["*:*"], "http_hosts": ["*:*"], "private_hosts": ["127.0.0.1"]}
    with serving(tmp_path, worker=False, fence=fence) as hub:
        document = check_exception(hub.execute({"text": {"href": f"{listener.url}/there"}}), 400)

    assert "private network" in document["detail"]
    assert [path for path, _, _ in listener.calls] == ["/there"]


def test_many_links_are_not_followed(wide_open):
    links = [{"href": f"http://127.0.0.1/{number}"} for number in range(100)]

    assert "at most 20" in check_exception(wide_open.execute({"text": "x", "texts": links}), 400)["detail"]


def send(hub, content, kind="application/json"):
    return hub.client.post("/processes/echo/execution", content=content, headers={"Content-Type": kind})


def test_a_body_that_is_too_large_is_not_read(hub):
    check_exception(send(hub, b'{"inputs": {"text": "' + b"x" * 8_000_000 + b'"}}'), 413)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"inputs": {"object": {"value": ' + b"[" * 100 + b"]" * 100 + b"}}}",
        b'{"inputs": {"integer": ' + b"9" * 100_000 + b"}}",
        b'{"inputs": {"number": 1e999}}',
        b'{"inputs": {"list": [' + b"0," * 200_000 + b"0]}}",
        json.dumps({"inputs": {str(number): 1 for number in range(5000)}}).encode(),
        b'{"inputs": {"text": "\xff"}}',
        b'{"inputs": {"text": "\\ud800"}}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_a_bomb_is_refused_soon(hub, content):
    began = time.monotonic()

    check_exception(send(hub, content), 400)

    assert time.monotonic() - began < 5


@pytest.mark.parametrize("kind", ["application/x-yaml", "text/yaml", "text/plain", "multipart/form-data", ""])
def test_only_json_is_read(hub, kind):
    bomb = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]"

    check_exception(send(hub, bomb, kind), 415)


def test_a_packed_body_is_not_unpacked(hub):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    check_exception(hub.client.post("/processes/echo/execution", content=b"x", headers=headers), 415)


@pytest.mark.parametrize(
    "process",
    [
        "import os\n\ndef execute(): os.system('id')",
        "os.system('id')",
        "/etc/passwd",
        "../evil.py",
        "evil.py",
        "os.path",
    ],
)
def test_a_recipe_brings_no_code(hub, dem, process):
    output = {"dtype": "uint8", "nodata": 0}
    recipe = {"process": process, "inputs": {"dem": dem}, "pyramid": {"grid": {"like": "dem"}}, "output": output}

    document = check_exception(hub.execute({"recipe": {"value": recipe}}, "recipe"), 400)

    assert document["errors"][0]["pointer"].endswith("/process")


def test_a_recipe_does_not_read_the_environment(hub, dem):
    for name in ("${HOME}", "https://example.com/${PATH}"):
        inputs = {"dem": {"href": name}, "output": {"dtype": "uint8", "nodata": 0}}

        assert "names the secret" in check_exception(hub.execute(inputs, "hillshade"), 400)["detail"]


@pytest.mark.slow
def test_who_guesses_tokens_has_to_wait(tmp_path):
    auth = {"tokens": [{"sha256": hash_of(name), "owner": name} for name in ("ann", "bob")], "failures": 5}
    with serving(tmp_path, worker=False, auth=auth) as hub:
        assert hub.as_("ann").get("/jobs").status_code == 200
        answers = [hub.as_(f"wrong-{number}").get("/jobs") for number in range(8)]

        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60
        assert hub.as_("bob").get("/jobs").status_code == 429
        assert hub.as_("ann").get("/jobs").status_code == 200
        time.sleep(1.1)
        assert hub.as_("bob").get("/jobs").status_code == 200


@pytest.mark.slow
def test_past_the_limit_guesses_are_not_even_looked_at(tmp_path):
    """However many come at once."""
    auth = {"tokens": [{"sha256": hash_of("right"), "owner": "ann"}], "failures": 5}
    with serving(tmp_path, worker=False, auth=auth) as hub, ThreadPoolExecutor(8) as guessers:
        ends = time.monotonic() + 2

        def guess(number):
            found = []
            with httpx.Client(base_url=hub.url, verify=PLAIN) as client:
                while time.monotonic() < ends:
                    headers = {"Authorization": f"Bearer {number}-{len(found)}"}
                    found.append(client.get("/jobs", headers=headers).status_code)
            return found

        found = [status for statuses in guessers.map(guess, range(8)) for status in statuses]

        assert hub.as_("right").get("/jobs").status_code == 429
    assert set(found) == {401, 429}
    assert found.count(401) <= 5 + 2


TRUSTING = {"trusted_proxies": ["127.0.0.1", "10.0.0.7", "2001:db8::7"]}
NETWORKS = {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"]}


@pytest.mark.parametrize(
    ("server", "said", "found"),
    [
        ({}, ["1.2.3.4"], "127.0.0.1"),
        ({"trusted_proxies": ["10.0.0.7"]}, ["1.2.3.4"], "127.0.0.1"),
        (TRUSTING, [], "127.0.0.1"),
        (TRUSTING, ["1.2.3.4"], "1.2.3.4"),
        (TRUSTING, ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (TRUSTING, ["6.6.6.6, 1.2.3.4, 10.0.0.7"], "1.2.3.4"),
        (TRUSTING, ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        (TRUSTING, ["6.6.6.6, 10.0.0.7", "1.2.3.4"], "1.2.3.4"),
        (TRUSTING, ["10.0.0.7"], "10.0.0.7"),
        (TRUSTING, ["1.2.3.4, nonsense"], "127.0.0.1"),
        (TRUSTING, ["1.2.3.4, nonsense, 10.0.0.7"], "10.0.0.7"),
        (TRUSTING, [""], "127.0.0.1"),
        (TRUSTING, ["1.2.3.4:5678"], "1.2.3.4"),
        (TRUSTING, ["[2001:DB8::0001]:5678"], "2001:db8::1"),
        (TRUSTING, ["6.6.6.6, 2001:db8::1, 2001:0db8:0::7"], "2001:db8::1"),
        (TRUSTING, ["::ffff:1.2.3.4"], "1.2.3.4"),
        (TRUSTING, ["fe80::1%a name"], "127.0.0.1"),
        (NETWORKS, ["6.6.6.6, 1.2.3.4, 10.0.0.7, fd00::1"], "1.2.3.4"),
        (NETWORKS, ["6.6.6.6, 10.1.2.3, ::ffff:10.9.9.9"], "6.6.6.6"),
        (NETWORKS, ["6.6.6.6, 11.0.0.1"], "11.0.0.1"),
    ],
)
def test_only_trusted_proxies_say_where_a_request_comes_from(tmp_path, caplog, server, said, found):
    caplog.set_level(logging.INFO, logger="tilepipe_hub.routes.outer")
    with serving(tmp_path, worker=False, server=server) as hub:
        hub.client.get("/health", headers=[("X-Forwarded-For", entry) for entry in said])

    (line,) = [record.getMessage() for record in caplog.records if record.name == "tilepipe_hub.routes.outer"]
    assert line.startswith(f"{found} GET '/health': 200 in ")


def test_a_guesser_behind_a_proxy_locks_out_only_themselves(tmp_path):
    auth = {"tokens": [{"sha256": hash_of("right"), "owner": "ann"}], "failures": 3}
    with serving(tmp_path, worker=False, auth=auth, server=TRUSTING) as hub:

        def status(token, address):
            headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
            return hub.client.get("/jobs", headers=headers).status_code

        assert [status(f"wrong-{number}", f"2001:db8:6::{number}") for number in range(5)] == [401] * 3 + [429] * 2
        assert status("right", "2001:db8:6::99") == 429
        assert status("right", "2001:db8:7::1") == 200
        assert status("right", "6.6.6.6, 2001:db8:6::99") == 429


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Basic", "Basic ???", "Basic Og==", "Digest x", "x", "Bearer a.b.c", "Bearer \xff", "\xe9"],
)
def test_a_header_that_is_no_token_lets_nobody_in(town, header):
    answer = town.client.get("/jobs", headers={b"Authorization": header.encode("latin-1")})

    check_exception(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_page_of_a_stranger_cannot_pass_for_us(hub):
    """Its name may mean 127.0.0.1 for a moment."""
    assert hub.client.get("/jobs", headers={"Host": "evil.example"}).status_code == 421
    assert hub.client.get("/jobs", headers={"Host": "localhost:1"}).status_code == 200


def test_a_host_with_odd_letters_gets_into_no_link(town, people):
    for host in ('evil"onload=x', "a<b", "a b", ""):
        answer = people["ann"].get("/", headers={"Host": host})

        assert answer.status_code in {200, 400, 421}
        assert "onload" not in answer.text
        assert "a<b" not in answer.text


def test_what_owners_write_is_no_script(hub):
    job = hub.submit({"text": "<script>alert(1)</script>"}, title="<script>alert(2)</script>", labels=["<b>"])
    hub.ended(job)

    for path in (job, "/jobs", f"{job}/results"):
        page = hub.client.get(path, params={"f": "html"})

        assert "<script>alert" not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "data:text/html,x", "https://a\r\nX-Evil: 1", "https://a/\n", "//a"]
)
def test_a_link_is_an_address_and_nothing_else(hub, href):
    check_exception(hub.execute({"text": "x", "image": {"href": href}}, outputs={"image": {}}), 400)


def test_names_of_results_stay_within_their_headers(hub):
    answer = hub.execute({"text": "x", "image": {"href": "https://a/%0d%0aX: 1?<>\"'"}}, outputs={"image": {}})

    assert answer.status_code == 400 or "X" not in answer.headers
