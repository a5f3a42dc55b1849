"""Who sends a request."""

import base64
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tilepipe_hub.auth import ANONYMOUS, Caller, Gate, KeySet, hash_of
from tilepipe_hub.errors import NotKnown, TooOften
from tilepipe_hub.settings import Auth

ISSUER = "https://id.example"
OIDC = {
    "issuer": ISSUER,
    "audience": "hub",
    "roles_claim": "realm_access.roles",
    "roles": {"gis": "run", "boss": "admin"},
}
TOKENS = [{"sha256": hash_of("right"), "owner": "ann", "role": "deploy"}]


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


class Provider:
    """Answers as an identity provider, and counts how often it is asked."""

    def __init__(self, rsa_key, ec_key):
        algorithms = jwt.algorithms.get_default_algorithms()
        self.asked = []
        self.keys = [
            {**json.loads(algorithms["RS256"].to_jwk(rsa_key.public_key())), "kid": "r", "alg": "RS256"},
            {**json.loads(algorithms["ES256"].to_jwk(ec_key.public_key())), "kid": "e", "alg": "ES256"},
        ]

    def get(self, url):
        self.asked.append(url)
        if url.endswith("openid-configuration"):
            return {"jwks_uri": f"{ISSUER}/keys"}
        return {"keys": self.keys}


@pytest.fixture
def provider(rsa_key, ec_key):
    return Provider(rsa_key, ec_key)


@pytest.fixture
def gate(provider):
    auth = Auth.model_validate({"tokens": TOKENS, "oidc": OIDC})
    return Gate(auth, keys=KeySet(auth.oidc, provider.get))


def token(key, *, kid="r", algorithm="RS256", **claims):
    now = time.time()
    known = {"iss": ISSUER, "aud": "hub", "sub": "bob", "exp": now + 60, "realm_access": {"roles": ["gis"]}}
    said = {name: value for name, value in {**known, **claims}.items() if value is not None}
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid})


def test_a_token_says_who_it_is(gate):
    assert gate.caller("Bearer right", "1.2.3.4") == Caller(owner="ann", role="deploy")
    assert gate.caller("bearer  right ", "1.2.3.4") == Caller(owner="ann", role="deploy")


def test_without_a_token_there_is_nobody_or_anonymous(gate):
    assert gate.caller(None, "1.2.3.4") is None
    assert Gate(Auth()).caller(None, "1.2.3.4") == Caller(owner=ANONYMOUS, role="run")
    viewer = Auth.model_validate({"tokens": TOKENS, "anonymous": "view"})
    assert Gate(viewer).caller(None, "1.2.3.4") == Caller(owner=ANONYMOUS, role="view")


def test_each_role_may_do_what_those_before_it_may():
    deployer = Caller(owner="x", role="deploy")

    assert [deployer.may(role) for role in ("view", "run", "deploy", "admin")] == [True, True, True, False]


def test_a_signed_token_says_who_it_is(gate, provider, rsa_key, ec_key):
    for key, kid, algorithm in ((rsa_key, "r", "RS256"), (ec_key, "e", "ES256")):
        found = gate.caller(f"Bearer {token(key, kid=kid, algorithm=algorithm)}", "a")

        assert found == Caller(owner=f"{ISSUER}#bob", role="run")
    assert provider.asked == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]


def test_the_highest_role_counts(gate, rsa_key):
    said = token(rsa_key, realm_access={"roles": ["gis", "boss", "other"]})

    assert gate.caller(f"Bearer {said}", "a").role == "admin"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"aud": "other"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"nbf": 99999999999},
        {"realm_access": {"roles": ["other"]}},
        {"realm_access": None},
        {"realm_access": {"roles": "boss-like"}},
        {"realm_access": {"roles": [["boss"]]}},
    ],
)
def test_a_signed_token_with_wrong_claims_is_none(gate, rsa_key, claims):
    with pytest.raises(NotKnown, match="not known"):
        gate.caller(f"Bearer {token(rsa_key, **claims)}", "a")


def forged(rsa_key):
    good = token(rsa_key)
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"r"}').decode().rstrip("=")
    public = rsa_key.public_key().public_numbers().n.to_bytes(256)
    yield f"{none}.{body}."
    yield f"{none}.{body}.{signature}"
    yield f"{head}.{body}.{signature[:-4]}AAAA"
    yield f"{head}.{body[:-2]}AA.{signature}"
    yield token(public, algorithm="HS256")
    yield token(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    yield token(rsa_key, kid="e")
    yield token(rsa_key, kid="unknown")
    yield "..."
    yield "a.b.c"
    yield "x" * 20_000


def test_a_forged_token_is_none(gate, rsa_key):
    for text in forged(rsa_key):
        with pytest.raises(NotKnown, match="not known"):
            gate.caller(f"Bearer {text}", text[-20:] + text[:40])


def test_a_new_key_is_looked_for_but_not_at_every_request(provider, rsa_key):
    now = [0.0]
    auth = Auth.model_validate({"oidc": {**OIDC, "jwks_url": f"{ISSUER}/keys"}})
    keys = KeySet(auth.oidc, provider.get, clock=lambda: now[0])
    new = {**provider.keys[0], "kid": "new"}

    assert keys.key("r") is not None
    assert [keys.key("new") for _ in range(5)] == [None] * 5
    assert len(provider.asked) == 1
    provider.keys.append(new)
    now[0] = 31
    assert keys.key("new") is not None
    assert len(provider.asked) == 2


def test_keys_that_are_known_hold_while_the_provider_is_away(provider):
    now, away = [0.0], [False]

    def get(url):
        if away[0]:
            raise httpx.ConnectError("away")
        return provider.get(url)

    auth = Auth.model_validate({"oidc": OIDC})
    keys = KeySet(auth.oidc, get, clock=lambda: now[0])
    assert keys.key("r") is not None
    away[0], now[0] = True, 4000

    assert keys.key("r") is not None


def test_who_guesses_has_to_wait_and_learns_nothing_meanwhile():
    now = [0.0]
    gate = Gate(Auth.model_validate({"tokens": TOKENS, "failures": 3}), clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(NotKnown, match="not known"):
            gate.caller("Bearer wrong", "1.1.1.1")

    for text in ("wrong", "right"):
        with pytest.raises(TooOften, match="wait 1 s") as told:
            gate.caller(f"Bearer {text}", "1.1.1.1")
        assert told.value.after_s == 1

    assert gate.caller("Bearer right", "2.2.2.2").owner == "ann"
    now[0] = 1
    assert gate.caller("Bearer right", "1.1.1.1").owner == "ann"


def test_a_holder_of_a_token_goes_on_beside_a_guesser():
    gate = Gate(Auth.model_validate({"tokens": TOKENS, "failures": 3}))
    assert gate.caller("Bearer right", "1.1.1.1").owner == "ann"
    for number in range(50):
        with pytest.raises((NotKnown, TooOften)):
            gate.caller(f"Bearer wrong-{number}", "1.1.1.1")

    assert gate.caller("Bearer right", "1.1.1.1").owner == "ann"


def test_in_a_pause_no_signature_is_looked_at(gate, provider, rsa_key):
    for _ in range(10):
        with pytest.raises(NotKnown, match="not known"):
            gate.caller("Bearer wrong", "a")

    for _ in range(5):
        with pytest.raises(TooOften, match="wait"):
            gate.caller(f"Bearer {token(rsa_key)}", "a")

    assert provider.asked == []


def test_a_token_that_has_expired_is_no_guess(gate, rsa_key):
    """A page that was left open sends it again and again, and its user is to come back with a new one."""
    for _ in range(50):
        with pytest.raises(NotKnown, match="has expired"):
            gate.caller(f"Bearer {token(rsa_key, exp=1)}", "a")

    assert gate.caller(f"Bearer {token(rsa_key)}", "a").role == "run"


@pytest.mark.slow
def test_a_token_that_expires_lets_nobody_in_for_having_done_so(gate, rsa_key):
    said = token(rsa_key, exp=time.time() - 29)
    assert gate.caller(f"Bearer {said}", "a").role == "run"
    time.sleep(1.5)

    with pytest.raises(NotKnown, match="has expired"):
        gate.caller(f"Bearer {said}", "a")


def test_refused_tokens_are_written_down_with_their_address_and_without_themselves(caplog):
    gate = Gate(Auth.model_validate({"tokens": TOKENS, "failures": 3}))
    for number in range(40):
        with pytest.raises((NotKnown, TooOften)):
            gate.caller(f"Bearer guess-{number}", "1.2.3.4")

    assert [record.getMessage() for record in caplog.records if record.name == "tilepipe_hub.audit"] == [
        *["a token from 1.2.3.4 is refused"] * 3,
        "too many wrong tokens from 1.2.3.4: new ones are not looked at for 1 s",
    ]
