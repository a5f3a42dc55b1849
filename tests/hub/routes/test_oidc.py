"""Signed tokens of a real issuer at its own address, in real requests; keys are fetched, used, and changed."""

import base64
import hashlib
import hmac
import json
import time
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hub.conformance.documents import check_exception
from hub.routes.serving import listening, serving
from tilepipe_hub import auth

CONFIGURATION, KEYS = "/realm/.well-known/openid-configuration", "/realm/keys"


def jwk(key, kid):
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    public = jwt.algorithms.get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "alg": algorithm, "use": "sig"}


def new_rsa():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Publishes its keys over HTTP, and signs."""

    def __init__(self, listener):
        self._listener = listener
        self.url = f"{listener.url}/realm"
        self.keys = {"first": new_rsa(), "curve": ec.generate_private_key(ec.SECP256R1())}
        self.publish()

    def publish(self, keys=None):
        said = [jwk(key, kid) for kid, key in (self.keys if keys is None else keys).items()]
        self._serve(CONFIGURATION, {"issuer": self.url, "jwks_uri": f"{self._listener.url}{KEYS}"})
        self._serve(KEYS, {"keys": said})

    def _serve(self, path, document):
        headers = {"Content-Type": "application/json"}
        self._listener.files[path] = (200, headers, json.dumps(document).encode())

    def fall_silent(self):
        self._listener.files.clear()

    def asked(self, path):
        return sum(called == path for called, *_ in self._listener.calls)

    def claims(self, **claims):
        now = time.time()
        known = {"iss": self.url, "aud": "hub", "sub": "bob", "exp": now + 60, "iat": now, "roles": ["run"]}
        return {name: value for name, value in {**known, **claims}.items() if value is not None}

    def token(self, kid="first", *, key=None, **claims):
        key = key or self.keys[kid]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**claims), key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A hub that believes an issuer."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with listening() as listener:
        issuer = Issuer(listener)
        known = {"oidc": {"issuer": issuer.url, "audience": "hub"}, "failures": 1000}
        with serving(tmp_path, auth=known) as hub:
            yield SimpleNamespace(hub=hub, issuer=issuer)


def asked(place, token):
    return place.hub.client.get("/jobs", headers={"Authorization": f"Bearer {token}"})


def encoded(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("kid", ["first", "curve"])
def test_a_token_of_the_issuer_runs_a_job_of_its_subject(place, kid):
    client = place.hub.as_(place.issuer.token(kid))
    job = place.hub.submit({"text": "x"}, client=client)

    assert place.hub.ended(job, client)["status"] == "successful"
    assert place.hub.store.get(job.rpartition("/")[2]).owner == f"{place.issuer.url}#bob"
    assert place.issuer.asked(CONFIGURATION) == place.issuer.asked(KEYS) == 1


def test_jobs_of_another_subject_do_not_exist(place):
    client = place.hub.as_(place.issuer.token())
    other = place.hub.as_(place.issuer.token(sub="eve"))
    job = place.hub.submit({"text": "x"}, client=client)

    check_exception(other.get(job), 404)
    assert other.get("/jobs").json()["jobs"] == []
    assert len(client.get("/jobs").json()["jobs"]) == 1


def test_a_role_of_the_token_says_what_may_be_done(place):
    viewer = place.hub.as_(place.issuer.token(roles="view other"))

    assert viewer.get("/jobs").status_code == 200
    check_exception(place.hub.execute({"text": "x"}, client=viewer), 403)


def test_without_a_token_nothing_is_told(place):
    answer = place.hub.client.get("/jobs")

    check_exception(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": time.time() - 3600},
        {"exp": None},
        {"nbf": time.time() + 3600},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"roles": ["owner"]},
        {"roles": None},
    ],
    ids=lambda claims: f"{next(iter(claims))} {'missing' if None in claims.values() else 'wrong'}",
)
def test_a_token_with_wrong_claims_is_refused(place, claims):
    assert asked(place, place.issuer.token()).status_code == 200
    check_exception(asked(place, place.issuer.token(**claims)), 401)


def test_one_of_several_audiences_is_enough(place):
    assert asked(place, place.issuer.token(aud=["another", "hub"])).status_code == 200


def test_a_clock_may_differ_by_half_a_minute(place):
    assert asked(place, place.issuer.token(exp=time.time() - 10)).status_code == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_token_that_wants_no_signature_is_refused(place, algorithm, signed):
    head, body = {"alg": algorithm, "typ": "JWT", "kid": "first"}, place.issuer.claims(roles=["admin"])
    signature = place.issuer.token().rpartition(".")[2] if signed else ""

    check_exception(asked(place, f"{encoded(head)}.{encoded(body)}.{signature}"), 401)


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_public_key_is_no_shared_secret(place, form):
    public = place.issuer.keys["first"].public_key()
    secret = public.public_bytes(getattr(serialization.Encoding, form), serialization.PublicFormat.SubjectPublicKeyInfo)
    text = f"{encoded({'alg': 'HS256', 'kid': 'first'})}.{encoded(place.issuer.claims(roles=['admin']))}"
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()

    check_exception(asked(place, f"{text}.{encoded(signature)}"), 401)


def test_a_key_that_the_token_brings_along_is_not_believed(place):
    own = new_rsa()
    for brought in ({"jwk": jwk(own, "own")}, {"jku": f"{place.issuer.url}/own", "kid": "own"}):
        token = jwt.encode(place.issuer.claims(), own, algorithm="RS256", headers=brought)
        check_exception(asked(place, token), 401)
    assert place.issuer.asked("/realm/own") == 0


def test_a_key_that_nobody_published_is_refused_and_not_sought_each_time(place):
    own = new_rsa()

    for kid in ("first", *(f"made-up-{number}" for number in range(20))):
        check_exception(asked(place, place.issuer.token(kid, key=own)), 401)

    assert place.issuer.asked(KEYS) <= 2


def test_a_new_key_is_found_and_an_old_one_forgotten(place, monkeypatch):
    monkeypatch.setattr(auth, "KEYS_AGAIN_S", 0.1)
    old = place.issuer.token()
    assert asked(place, old).status_code == 200
    place.issuer.keys["second"] = new_rsa()
    place.issuer.publish({"second": place.issuer.keys["second"]})
    time.sleep(0.2)

    assert asked(place, place.issuer.token("second")).status_code == 200
    check_exception(asked(place, old), 401)
    assert place.issuer.asked(KEYS) >= 2


def test_an_issuer_that_is_away_takes_nobody_out_who_is_known(place, monkeypatch):
    assert asked(place, place.issuer.token()).status_code == 200
    monkeypatch.setattr(auth, "KEYS_KEPT_S", 0.1)
    monkeypatch.setattr(auth, "KEYS_AGAIN_S", 0.1)
    place.issuer.fall_silent()
    time.sleep(0.2)

    assert asked(place, place.issuer.token()).status_code == 200


def test_nobody_comes_in_before_the_issuer_was_ever_reached(place, monkeypatch):
    monkeypatch.setattr(auth, "KEYS_AGAIN_S", 0.1)
    place.issuer.fall_silent()
    check_exception(asked(place, place.issuer.token()), 401)

    place.issuer.publish()
    time.sleep(0.2)

    assert asked(place, place.issuer.token()).status_code == 200
