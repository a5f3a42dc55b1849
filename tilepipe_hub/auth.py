"""Who sends a request, and what they may do."""

import base64
import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx
import jwt

from tilepipe_hub.errors import NotKnown
from tilepipe_hub.guesses import Guesses
from tilepipe_hub.settings import ROLES, Auth, Oidc, Role

__all__ = ["ANONYMOUS", "Caller", "Gate", "KeySet", "fetch_json", "hash_of"]

AUDIT = logging.getLogger("tilepipe_hub.audit")

ANONYMOUS = "anonymous"
"""Owner of what is sent without a token."""

KEYS_KEPT_S = 3600.0
KEYS_AGAIN_S = 30.0
"""Between two looks for a key that is not known, which anybody can make up."""

LEEWAY_S = 30
"""By which clocks may differ."""

MOST_LETTERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sends a request."""

    owner: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether they may do what needs a role; each role may do what those before it may."""
        return ROLES.index(self.role) >= ROLES.index(role)


def hash_of(token: str) -> str:
    """What the settings have in place of a token; plain SHA-256, because 128 random bits cannot be guessed."""
    return sha256(token.encode()).hexdigest()


@dataclass(slots=True)
class KeySet:
    """The keys of an identity provider, fetched when they are needed, and again when an unknown one is used."""

    oidc: Oidc
    get: Callable[[str], Any]
    clock: Callable[[], float] = time.monotonic
    _keys: dict[str | None, jwt.PyJWK] = field(default_factory=dict, init=False)
    _fetched: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key of this id, the only one for None; None where there is none."""
        with self._lock:
            age = self.clock() - self._fetched
            if age > KEYS_KEPT_S or (key_id not in self._keys and age > KEYS_AGAIN_S):
                self._fetched = self.clock()
                self._keys = self._read() or self._keys
            if key_id is None:
                return next(iter(self._keys.values())) if len(self._keys) == 1 else None
            return self._keys.get(key_id)

    def _read(self) -> dict[str | None, jwt.PyJWK]:
        url = self.oidc.jwks_url
        try:
            if url is None:
                url = str(self.get(f"{self.oidc.issuer.rstrip('/')}/.well-known/openid-configuration")["jwks_uri"])
            found = jwt.PyJWKSet.from_dict(self.get(url)).keys
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, KeyError, TypeError):
            return {}
        return {key.key_id: key for key in found}


def fetch_json(url: str) -> Any:
    """The JSON at an address that the operator named."""
    answer = httpx.get(url, timeout=10, follow_redirects=False)
    answer.raise_for_status()
    return answer.json()


@dataclass(slots=True)
class Gate:
    """Tells callers by the header `Authorization`, and slows down those who guess."""

    auth: Auth
    keys: KeySet | None = None
    clock: Callable[[], float] = time.monotonic
    _guesses: Guesses = field(init=False)

    def __post_init__(self) -> None:
        """Begin without guesses."""
        self._guesses = Guesses(self.auth.failures, clock=self.clock)

    def caller(self, authorization: str | None, address: str) -> Caller | None:
        """Who sends a request; None for a stranger where strangers may do nothing.

        Args:
            authorization: the header: `Bearer TOKEN`, or `Basic` with the token for a password, as browsers send.
            address: where the request comes from.

        Raises:
            NotKnown: there is a token, and it is none.
            TooOften: too many wrong tokens came from this address, and this one was never right there.
        """
        if not authorization:
            role = self.auth.anonymous_role
            return Caller(owner=ANONYMOUS, role=role) if role else None
        token = _token_in(authorization)
        mark = hash_of(token)
        self._guesses.check(address, mark)
        found, is_guess = self._judged(token, mark)
        if found is not None:
            self._guesses.right(address, mark)
            return found
        pause_s = self._guesses.wrong(address, mark) if is_guess else 0
        AUDIT.warning("a token from %s is refused", address)
        if pause_s:
            AUDIT.warning("too many wrong tokens from %s: new ones are not looked at for %d s", address, pause_s)
        raise NotKnown("the token is not known, or has expired; send another one, or none")

    def _judged(self, token: str, mark: str) -> tuple[Caller | None, bool]:
        """Whose token it is, and whether one that is nobody's may be a guess."""
        if not token or len(token) > MOST_LETTERS:
            return None, True
        # All are compared, so that the time says nothing of which one it is.
        known = [item for item in self.auth.tokens if hmac.compare_digest(item.sha256, mark)]
        if known:
            return Caller(owner=known[0].owner, role=known[0].role), False
        return self._of_provider(token) if token.count(".") == 2 else (None, True)

    def _of_provider(self, token: str) -> tuple[Caller | None, bool]:
        oidc = self.auth.oidc
        if oidc is None or self.keys is None:
            return None, True
        try:
            key = self.keys.key(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                return None, True
            claims = jwt.decode(
                token,
                key,
                algorithms=list(oidc.algorithms),
                audience=oidc.audience,
                issuer=oidc.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", oidc.owner_claim]},
            )
        except jwt.ExpiredSignatureError:
            # The provider signed it, so nobody made it up; a page left open may send it for hours.
            return None, False
        except (jwt.PyJWTError, ValueError, TypeError):
            return None, True
        owner, role = claims.get(oidc.owner_claim), _role(oidc, claims)
        if not isinstance(owner, str) or not owner or role is None:
            return None, False
        return Caller(owner=f"{oidc.issuer}#{owner}", role=role), False


def _token_in(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


def _role(oidc: Oidc, claims: Mapping[str, Any]) -> Role | None:
    """The highest role that the claims name."""
    found: Any = claims
    for key in oidc.roles_claim.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    said = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    meant: Mapping[str, Role] = oidc.roles or {role: role for role in ROLES}
    roles = [meant[name] for name in said if isinstance(name, str) and name in meant]
    return max(roles, key=ROLES.index, default=oidc.default_role)
