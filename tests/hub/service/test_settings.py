"""What an operator may decide."""

from typing import get_args

import pytest
from pydantic import BaseModel

from tilepipe_hub.errors import SettingsError
from tilepipe_hub.settings import Settings, is_loopback, load_settings

HASH = "0" * 64


def load(text="", *, tmp_path=None, environ=None, over=None):
    path = None
    if text:
        path = tmp_path / "hub.yaml"
        path.write_text(text)
    return load_settings(str(path) if path else None, environ=environ or {}, over=over)


def test_nothing_has_to_be_said():
    settings = load()

    assert settings == Settings()
    assert is_loopback(settings.server.host)
    assert settings.auth.anonymous_role == "run"
    assert not settings.deploy


def test_the_environment_stands_over_the_file_and_the_command_line_over_both(tmp_path):
    text = "server: {port: 1, base_url: https://a, cors_origins: ['*']}\nsync_s: 2"
    environ = {"TILEPIPE_HUB_SERVER__PORT": "2", "TILEPIPE_HUB_SERVER__BASE_URL": "https://b", "OTHER": "x"}

    settings = load(text, tmp_path=tmp_path, environ=environ, over={"server": {"port": 3}})

    assert (settings.server.port, settings.server.base_url, settings.server.cors_origins) == (3, "https://b", ("*",))
    assert settings.sync_s == 2


def test_the_environment_can_name_the_file(tmp_path):
    (tmp_path / "hub.yaml").write_text("title: Ours")

    assert load(environ={"TILEPIPE_HUB_CONFIG": str(tmp_path / "hub.yaml")}).title == "Ours"


def test_settings_that_are_not_there_are_told_as_settings(tmp_path):
    for path, found in ((tmp_path / "nope.yaml", "not there"), (tmp_path, "a folder")):
        with pytest.raises(SettingsError, match=f"is {found}; name the file of the hub's settings, with --config"):
            load_settings(str(path), environ={})


def test_what_is_the_clients_or_the_clusters_is_no_setting():
    links = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_ADDR": "10.0.0.1",
        "MONGODB_SERVICE_HOST": "10.0.0.2",
        "MONGODB_PORT": "tcp://10.0.0.2:27017",
    }
    client = {"URL": "http://127.0.0.1:8000", "TOKEN": "secret", "VERBOSE": "1"}

    assert load(environ={f"TILEPIPE_HUB_{name}": text for name, text in {**links, **client}.items()}) == Settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SERVER_PORT", "TILEPIPE_HUB_SERVER__PORT"),
        ("PORT", "TILEPIPE_HUB_SERVER__PORT"),
        ("TITEL", "TILEPIPE_HUB_TITLE"),
        ("AUTH_TOKEN", "TILEPIPE_HUB_AUTH__TOKENS"),
    ],
)
def test_a_variable_that_reads_like_a_key_is_refused_with_the_key(name, meant):
    with pytest.raises(SettingsError, match=f"TILEPIPE_HUB_{name} is no setting; did you mean {meant}") as told:
        load(environ={f"TILEPIPE_HUB_{name}": "hunter2"})

    assert "hunter2" not in str(told.value)


def test_two_underscores_make_a_setting_whatever_stands_between_them():
    with pytest.raises(SettingsError, match=r"server\.prot: unknown key; .*port"):
        load(environ={"TILEPIPE_HUB_SERVER__PROT": "1"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sever: {port: 1}", r"sever: unknown key; .*server"),
        ("server: {prot: 1}", r"server\.prot: unknown key; .*port"),
        ("auth: {tokens: [{sha265: x, owner: a}]}", r"auth\.tokens\.0\.sha265: unknown key; .*sha256"),
        ("server: {port: high}", r"server\.port: input should be a valid integer"),
        ("worker: {lease_s: 5, beat_s: 4}", r"worker: lease_s is 5; it takes at least three times beat_s, 12"),
        ("worker: {executor: dask, cluster: {kind: local, workers: -1}}", "worker: .*workers"),
        ("auth: {tokens: [{sha256: short, owner: a}]}", r"auth\.tokens\.0\.sha256: string should match"),
        ("server: {trusted_proxies: [10.0.0.7, proxy]}", r"server\.trusted_proxies\.1: is no address and no network;"),
        ("server: {trusted_proxies: [10.0.0.0/33]}", r"proxies\.0: is no address and no network; .*10\.0\.0\.0/8"),
        ("server: {trusted_proxies: [10.0.0.7:80]}", r"trusted_proxies\.0: is no address and no network"),
        ("server: {trusted_proxies: [10.0.0.7/8]}", r"is an address within a network; .*10\.0\.0\.0/8"),
        ("- a", "expected keys"),
        ("server: {host: 0.0.0.0}", "would answer anybody at 0.0.0.0; set auth.tokens or auth.oidc"),
        ("server: {host: '::'}", "would answer anybody"),
        ("server: {host: '0.0.0.0'}\nauth: {anonymous: view}", "would answer anybody"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, message, tmp_path):
    with pytest.raises(SettingsError, match=message):
        load(text, tmp_path=tmp_path)


def test_a_proxy_is_trusted_by_its_address_or_by_its_network(tmp_path):
    text = "server: {trusted_proxies: [10.0.0.7, 192.168.0.0/16, 'fd00::/8', '::ffff:172.16.0.0/108']}"

    server = load(text, tmp_path=tmp_path).server

    trusted = ("10.0.0.7", "::ffff:10.0.0.7", "192.168.255.1", "fd00:0::1", "172.16.0.1", "172.31.255.255")
    assert [address for address in trusted if not server.trusts(address)] == []
    strangers = ("10.0.0.8", "192.169.0.1", "fe00::1", "172.32.0.1", "unix", "")
    assert [address for address in strangers if server.trusts(address)] == []


def test_mistakes_show_no_values(tmp_path):
    with pytest.raises(SettingsError, match="sha256") as told:
        load("auth: {tokens: [{sha256: hunter2, owner: a}]}\nstore: {url: [mongodb://u:hunter2@h]}", tmp_path=tmp_path)

    assert "hunter2" not in str(told.value)


def test_settings_do_not_print_secrets():
    settings = load(over={"store": {"url": "mongodb://u:hunter2@h"}, "callbacks": {"secret": "hunter3"}})

    assert "hunter" not in repr(settings)


def test_whoever_names_tokens_lets_no_stranger_in(tmp_path):
    text = f"server: {{host: 0.0.0.0}}\nauth: {{tokens: [{{sha256: '{HASH}', owner: a}}]}}"

    settings = load(text, tmp_path=tmp_path)

    assert settings.auth.anonymous_role is None
    assert settings.auth.tokens[0].role == "run"


def sections(model):
    """A model, and those of its fields."""
    yield model
    for field in model.model_fields.values():
        for item in (field.annotation, *get_args(field.annotation)):
            if isinstance(item, type) and issubclass(item, BaseModel):
                yield from sections(item)


def test_every_key_has_its_words():
    silent = {
        key
        for model in sections(Settings)
        for key, field in model.model_fields.items()
        if not field.description and not hasattr(field.annotation, "model_fields")
    }

    assert silent == set()
