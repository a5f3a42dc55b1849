"""What the page about the hub says, against the hub."""

import re
import runpy

import pytest

from tilepipe.cli.main import cli
from tilepipe_hub import client
from tilepipe_hub.commands import hub


@pytest.fixture
def text(deploy):
    return (deploy.parent / "docs" / "hub.md").read_text(encoding="utf-8")


def test_the_settings_on_the_page_are_the_settings(deploy, text):
    page = runpy.run_path(str(deploy.parent / "docs" / "hub_page.py"))

    assert page["page"](text) == text, "run: python docs/hub_page.py"


def test_the_commands_on_the_page_are_commands(text):
    named = set(re.findall(r"^\$ tilepipe hub (\w+)", text, re.MULTILINE))

    assert named
    assert named <= hub.commands.keys()
    assert cli.get_command(None, "hub") is hub


def test_the_names_on_the_page_are_names(text):
    assert set(re.findall(r"`(ClientError)`|import (\w+)", text)) >= {("ClientError", ""), ("", "open_client")}
    assert {"ClientError", "open_client"} <= set(client.__all__)


def test_the_files_on_the_page_are_there(deploy, text):
    section = text.partition("\n## Deploy\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:helm/)?[\w./-]+\.(?:yaml|json|env)|Dockerfile|helm/\w+)`", section))

    assert named >= {"Dockerfile", "compose.yaml", "helm/tilepipe"}
    assert [name for name in named if not (deploy / name).exists()] == []
