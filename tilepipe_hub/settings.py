"""What an operator may decide: one YAML file, and variables of the environment over it.

A variable is `TILEPIPE_HUB_` and the keys with `__` between them: `TILEPIPE_HUB_SERVER__PORT=8080`. Its value is JSON,
or else text. `TILEPIPE_HUB_CONFIG` names the file where the command line does not.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tilepipe.errors import RecipeError, nearest
from tilepipe.executors.cluster_spec import cluster_spec
from tilepipe.recipe import load_mapping
from tilepipe_hub.environment import CONFIG, merged, settings_in
from tilepipe_hub.errors import SettingsError
from tilepipe_hub.networks import Network, is_within, network_of

__all__ = [
    "ROLES",
    "Auth",
    "Callbacks",
    "Fence",
    "Folders",
    "Limits",
    "Log",
    "Oidc",
    "Quotas",
    "Role",
    "Server",
    "Settings",
    "StoreSettings",
    "Token",
    "Worker",
    "is_loopback",
    "load_settings",
]

Role = Literal["view", "run", "deploy", "admin"]
ROLES: tuple[Role, ...] = ("view", "run", "deploy", "admin")
"""Each may do what those before it may."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """What all sections have in common: they do not change, and take no key but their own."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True, validate_default=True
    )


class StoreSettings(Section):
    """Where jobs are kept."""

    url: SecretStr = SecretStr("sqlite:///tilepipe-hub.db")
    """`mongodb://HOST/NAME`, `sqlite:///FILE` or the path of a file."""
    keep_s: Seconds | None = 30 * 86_400
    """How long ended jobs and their outputs are kept; null: for ever."""
    patience_s: Seconds = 10
    """How long a request waits for a store that is away; a worker waits ten minutes."""


class Folders(Section):
    """Where files are, on a disk that server and workers share."""

    outputs: str = "tilepipe-hub-output"
    """Each job writes into a folder of its own in here."""
    uploads: str = "tilepipe-hub-uploads"
    """What was sent within requests."""
    processes: str | None = None
    """Each `.py` file in it is a process; what is deployed goes here."""


class Fence(Section):
    """What jobs may read, and whom the service may call."""

    input_roots: tuple[str, ...] = ()
    """Folders, and names of GDAL such as `/vsis3/bucket/`, below which inputs may lie."""
    input_hosts: tuple[str, ...] = ()
    """Hosts from which data may be read, by the code of processes too, those of buckets among them: `example.com`,
    `*.example.com` for those below it, `*` for all, each with its port where that is not the usual one, `:*` for
    any."""
    callback_hosts: tuple[str, ...] = ()
    """Hosts that may be called when a job goes on or ends, in the same words."""
    http_hosts: tuple[str, ...] = ()
    """Hosts that may be spoken to without TLS, in the same words."""
    private_hosts: tuple[str, ...] = ()
    """Hosts that may have an address of a private network or of this machine, by their whole name."""


class Server(Section):
    """Where the service answers."""

    host: str = "127.0.0.1"
    """Address to listen at. Any but a loopback address needs `auth`."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """0: any free one."""
    base_url: str | None = None
    """What clients call the service, when a proxy stands before it; links start with it. Null: as the request says."""
    hosts: tuple[str, ...] = ()
    """Names that a request may call the service by; empty: loopback names and that of `base_url` where the service
    listens at a loopback address, else any."""
    cors_origins: tuple[str, ...] = ()
    """Web pages of these origins may use the service; `*`: of all."""
    trusted_proxies: tuple[Annotated[Network, BeforeValidator(network_of)], ...] = ()
    """Addresses of proxies whose `X-Forwarded-...` are believed, and networks of which all are: `10.0.0.7`,
    `10.0.0.0/8`, `fd00::/8`."""

    def trusts(self, address: str) -> bool:
        """Whether a proxy is believed that has this address."""
        return bool(self.trusted_proxies) and is_within(address, self.trusted_proxies)


class Token(Section):
    """A bearer token; only its hash is known here."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of a token of at least 128 random bits, in hexadecimal; `tilepipe-hub token` makes both."""
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    """Whose jobs they are that are sent with it."""
    role: Role = "run"
    """`view` looks at its own jobs, `run` submits, `deploy` adds processes, `admin` sees all jobs."""


class Oidc(Section):
    """Tokens that an identity provider signs."""

    issuer: Annotated[str, Field(pattern="^https?://")]
    """Claim `iss` of the tokens."""
    audience: Annotated[str, Field(min_length=1)]
    """Claim `aud` of the tokens."""
    jwks_url: Annotated[str, Field(pattern="^https?://")] | None = None
    """Where its keys are; null: where its `.well-known/openid-configuration` says."""
    algorithms: tuple[Literal["RS256", "ES256"], ...] = ("RS256", "ES256")
    """By which the tokens may be signed."""
    owner_claim: str = "sub"
    """Which claim says whose the jobs are."""
    roles_claim: str = "roles"
    """A list of texts, or text with spaces between; a dot goes one level down."""
    roles: Mapping[str, Role] = {}
    """What the provider's roles mean here; empty: the names are the same."""
    default_role: Role | None = None
    """Of whose token names no role; null: refused."""


class Auth(Section):
    """Who may do what. Without tokens and OIDC anybody is the owner `anonymous`."""

    tokens: tuple[Token, ...] = ()
    """Who is known by a secret of their own."""
    oidc: Oidc | None = None
    """Who is known by a provider of identities."""
    anonymous: Role | Literal["none"] | None = None
    """What may be done without a token; null: run where nothing else is said above, else none."""
    failures: Count = 10
    """Wrong tokens that one address may send in a minute; then one after each pause, of a second at first, of a minute
    at last. What was right from there before is let through all the same."""

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are."""
        return not self.tokens and self.oidc is None

    @property
    def anonymous_role(self) -> Role | None:
        """What may be done without a token; None: nothing."""
        if self.anonymous is None:
            return "run" if self.is_open else None
        return None if self.anonymous == "none" else self.anonymous


class Quotas(Section):
    """What each owner may have; null: as much as they like."""

    jobs: Count | None = None
    """Jobs that wait or run."""
    tiles: Count | None = None
    """Process tiles of one job; a worker counts them before it begins."""
    runtime_s: Seconds | None = None
    """Of one job, from its first start; then it fails."""


class Limits(Section):
    """What a request may be."""

    body_bytes: Count = 7_000_000
    """Of the whole body; MongoDB takes no job of more than 16 MB, and what is sent stands in it twice."""
    depth: Count = 32
    """Objects and lists within each other."""
    items: Count = 100_000
    """In one list."""
    fetch_bytes: Count = 7_000_000
    """Of what a link leads to, where it is read at once to be checked."""
    fetch_s: Seconds = 10
    """How long that may take."""


class Worker(Section):
    """How jobs are run."""

    concurrency: Count = 1
    """Jobs at once."""
    lease_s: Seconds = 30
    """A worker that is silent for so long has lost its jobs."""
    beat_s: Seconds = 5
    """Between two signs of life."""
    poll_s: Seconds = 0.1
    """Between two looks for a job, while there is none."""
    executor: Literal["sequential", "threads", "processes", "dask"] = "processes"
    """What runs the tasks of a job."""
    workers: Count | None = None
    """Threads or processes of one job; null: one a core."""
    memory: str | None = None
    """Of one job, such as `4GB`; null: what the machine has."""
    cluster: str | Mapping[str, Any] = "local"
    """For the executor dask, in the words of `tilepipe execute --cluster`: `local`, a scheduler's address, or a mapping
    with `kind`."""
    confine: bool = True
    """Whether the process of a job reaches no files but inputs, its own and `paths` (on Linux from 5.19 on), and no
    hosts but `fence.input_hosts` (kept by the kernel from 6.7 on); not with dask on a cluster that is not local."""
    paths: tuple[str, ...] = ()
    """Files and folders that the code of processes itself reads and writes, such as models and caches."""
    max_attempts: Count = 3
    """Workers that a job may fell before it is failed."""
    on_error: Literal["stop", "skip"] = "stop"
    """Whether a job goes on without tiles that fail."""
    drain_s: Seconds = 30
    """After SIGTERM, for the jobs that run; then they are given back."""

    @model_validator(mode="after")
    def _lease_outlasts_beats(self) -> "Worker":
        if self.lease_s < 3 * self.beat_s:
            raise ValueError(f"lease_s is {self.lease_s:g}; it takes at least three times beat_s, {3 * self.beat_s:g}")
        if self.executor == "dask":
            _checked_cluster(self.cluster)
        return self


def _checked_cluster(cluster: str | Mapping[str, Any]) -> None:
    try:
        cluster_spec(cluster)
    except RecipeError as error:
        raise ValueError(str(error)) from error


class Callbacks(Section):
    """How those are called who subscribed to a job."""

    secret: SecretStr | None = None
    """Signs each call: `X-Tilepipe-Signature: t=SECONDS,sha256=HMAC of "SECONDS." and the body`."""
    attempts: Count = 8
    """Calls about the end of a job to a receiver that does not answer, with pauses of 1 s, 4 s, 16 s and so on, at most
    an hour."""
    timeout_s: Seconds = 10
    """For each call."""
    every_s: Seconds = 10
    """At least, between two calls about one job's progress."""


class Log(Section):
    """What is told to the operator."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is told."""


class Settings(Section):
    """All of it."""

    title: str = "tilepipe hub"
    """What the landing page calls the service."""
    store: StoreSettings = StoreSettings()
    folders: Folders = Folders()
    fence: Fence = Fence()
    secrets: tuple[str, ...] = ()
    """Names that may stand as `${NAME}` in requests; a worker fills in what its environment says."""
    server: Server = Server()
    auth: Auth = Auth()
    quotas: Quotas = Quotas()
    limits: Limits = Limits()
    sync_s: Seconds = 30
    """How long a request may wait for its job; what takes longer has to be asked for with `Prefer: respond-async`."""
    worker: Worker = Worker()
    callbacks: Callbacks = Callbacks()
    deploy: bool = False
    """Whether processes may be deployed by those of role `deploy`, who thereby run code on workers."""
    log: Log = Log()
    otlp_endpoint: str | None = None
    """Where OpenTelemetry's spans go, such as `http://collector:4318`; null: nowhere. Needs the extra
    `telemetry`."""

    @model_validator(mode="after")
    def _strangers_have_to_say_who_they_are(self) -> "Settings":
        if self.auth.is_open and not is_loopback(self.server.host):
            raise ValueError(
                f"the service would answer anybody at {self.server.host}; set auth.tokens or auth.oidc, or leave "
                "server.host at 127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(
    path: str | None = None, *, environ: Mapping[str, str] | None = None, over: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of a file, with those of the environment over it, and *over* over both.

    Args:
        path: a YAML file; None: the one that the environment names, or none.
        environ: in place of the environment.
        over: nested like the file; what the command line says.

    Raises:
        SettingsError: the file cannot be read, or something in it or in the environment is wrong; a line for each
            mistake. Values are not shown, for they may be secret.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get(CONFIG)
    if path and (os.path.isdir(path) or not os.path.exists(path)):
        found = "a folder" if os.path.isdir(path) else "not there"
        raise SettingsError(f"{path}: is {found}; name the file of the hub's settings, with --config or {CONFIG}")
    try:
        document = load_mapping(path) if path else {}
    except RecipeError as error:
        raise SettingsError(str(error)) from error
    document = merged(document, settings_in(environ, keys=set(_keys(Settings))))
    try:
        return Settings.model_validate(merged(document, over or {}))
    except ValidationError as error:
        lines = "\n".join(_told(item) for item in error.errors(include_input=False, include_url=False))
        raise SettingsError(f"{path or 'settings'}: {lines}") from None


def _told(item: Mapping[str, Any]) -> str:
    place = [str(key) for key in item["loc"]]
    name = ".".join(place)
    if item["type"] == "extra_forbidden":
        return f"{name}: unknown key; {nearest(place[-1], _known(place[:-1]))}"
    if item["type"] == "value_error":
        return f"{name}: {item['ctx']['error']}" if name else str(item["ctx"]["error"])
    return f"{name}: {item['msg'][0].lower()}{item['msg'][1:]}"


def _keys(section: type[BaseModel], place: str = "") -> Iterator[str]:
    """Each key of the section and of those in it, with dots between."""
    for name, field in section.model_fields.items():
        yield place + name
        for below in _sections(field.annotation):
            yield from _keys(below, f"{place}{name}.")


def _known(place: list[str]) -> list[str]:
    section: type[BaseModel] = Settings
    for key in place:
        below = _sections(section.model_fields[key].annotation) if key in section.model_fields else []
        section = below[0] if below else section
    return list(section.model_fields)


def _sections(hint: Any) -> list[type[BaseModel]]:
    return [item for item in (hint, *get_args(hint)) if isinstance(item, type) and issubclass(item, BaseModel)]
