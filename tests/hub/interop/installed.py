"""Programs that cannot be installed beside us: each has a virtual environment of its own, made once on a machine."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Release", "python_of"]

NEWER = ("python3.14", "python3.13", "python3.12")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A program as pip is asked for it."""

    name: str
    python: tuple[int, int]
    """The least that it runs on."""
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()
    """Installed without what they ask for."""

    def __str__(self):
        return self.name


def python_of(release):
    """The Python beside which it is installed; where it is missing, the test is skipped, or fails."""
    base = next(filter(lambda program: _runs(program, release.python), (sys.executable, *NEWER)), None)
    if base is None:
        # Not a failure anywhere: what is promised to be there is the one Python that the tests run on.
        pytest.skip(f"{release} needs Python {'.'.join(map(str, release.python))}, and there is none on the PATH")
    try:
        return _installed(release, base)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or ""
        reason = f"{release} cannot be installed: {error} {said[-1500:]}"
        return pytest.fail(reason) if "TILEPIPE_TEST_ALL" in os.environ else pytest.skip(reason)


def _installed(release, base):
    wanted = hashlib.sha256(repr((base, release)).encode()).hexdigest()[:12]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "tilepipe-tests" / f"{release.name.replace(' ', '-')}-{wanted}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python, complete = folder / "bin" / "python", folder / "complete"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Complete, but without its Python, is what an update of the system leaves.
        if not (complete.exists() and os.access(python, os.X_OK)):
            shutil.rmtree(folder, ignore_errors=True)
            _run(base, "-m", "venv", folder)
            pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _run(*pip, *release.packages)
            if release.alone:
                _run(*pip, "--no-deps", *release.alone)
            complete.touch()
    return python


def _run(*command):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=270, env=environment)


def _runs(program, least):
    """Whether it starts, which the shims of a version manager may not, and is new enough."""
    question = f"import sys; sys.exit(sys.version_info < {least})"
    try:
        return subprocess.run([program, "-I", "-c", question], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
