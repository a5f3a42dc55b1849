"""`make hub`: a hub on this machine with one job done, which stays until it is interrupted."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
from demo import write_dem

from tilepipe_hub.client import JobStatus, NotReached, StillRunning, open_client
from tilepipe_hub.errors import SettingsError
from tilepipe_hub.listening import listen
from tilepipe_hub.running.parent import die_with_parent

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out" / "hub"
HOST = "127.0.0.1"
PORT = os.environ.get("PORT", "8000")
URL = f"http://{HOST}:{PORT}"
LOOK_S = 0.1
SETTINGS = """\
store: {{url: "sqlite:///{out}/jobs.db"}}
folders: {{outputs: {out}/outputs, uploads: {out}/uploads}}
fence: {{input_roots: [{out}/data]}}
worker: {{drain_s: 1}}
log: {{level: warning}}
"""


def start() -> subprocess.Popen[bytes]:
    """A hub with a worker beside it, and its data under `out/hub`; it ends with this process, however that ends.

    Raises:
        SettingsError: the port is taken.
    """
    # Else another hub that answers there would be taken for ours.
    for socket in listen(HOST, int(PORT)):
        socket.close()
    print(f"the hub starts, with its jobs in {os.path.relpath(OUT)}", flush=True)
    write_dem(OUT / "data" / "dem.tif")
    settings = OUT / "hub.yaml"
    settings.write_text(SETTINGS.format(out=OUT), encoding="utf-8")
    command = [sys.executable, "-m", "tilepipe_hub", "serve", "--config", settings, "--host", HOST, "--port", PORT]
    return subprocess.Popen(command, preexec_fn=partial(die_with_parent, os.getpid(), by=signal.SIGTERM))  # noqa: PLW1509 - no threads


def answers(hub: subprocess.Popen[bytes]) -> bool:
    """Whether the hub answers, as soon as it does; not if it ends first."""
    with httpx.Client(trust_env=False) as client:
        while hub.poll() is None:
            try:
                return client.get(f"{URL}/health").is_success and hub.poll() is None
            except httpx.TransportError:
                time.sleep(LOOK_S)
    return False


def submit() -> JobStatus:
    """Shaded relief of the sample."""
    with open_client(URL, token="", http=httpx.Client(trust_env=False)) as client:
        job = client.submit(
            "hillshade",
            {
                "dem": {"href": str(OUT / "data" / "dem.tif")},
                "pyramid": {"value": {"grid": "WebMercatorQuad", "pixelbuffer": 2}},
                "zooms": {"value": {"min": 8, "max": 12}},
                "overviews": {"value": {"below": 12, "resampling": "average"}},
                "output": {"value": {"dtype": "uint8", "nodata": 0}},
            },
        )
        assert isinstance(job, JobStatus)
        return client.wait(job, timeout_s=300)


def tell(job: JobStatus) -> None:
    """What became of the job, and what can be done now."""
    tilepipe = os.path.relpath(Path(sys.executable).with_name("tilepipe"))
    print(f"\njob      {job.status}  {job.url}")
    print(f"pages    {URL}")
    print(f"in QGIS  Layer > Add Raster Layer: /vsicurl/{job.url}/output/stac.vrt")
    print(f"shell    {tilepipe} hub list --url {URL}", flush=True)


def listen_to_signals() -> None:
    """Let each signal that asks us to end do so, unless we were started to be deaf to it, as by nohup."""
    # A shell makes what it starts in the background deaf to Ctrl-C, which is not meant for who sends it by our id.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    die_with_parent(by=signal.SIGTERM)


def main() -> int:
    """Run the hub until it ends or is interrupted; 0 where the job was done."""
    listen_to_signals()
    hub, done = None, False
    try:
        hub = start()
        if not answers(hub):
            print(f"the hub has ended with the code {hub.wait()}")
            return 1
        job = submit()
        tell(job)
        done = job.status == "successful"
        if not done:
            print(job.message)
        elif "--once" not in sys.argv:
            print("it stays until Ctrl-C", flush=True)
            hub.wait()
    except SettingsError as error:
        print(f"error: {error}")
        return 2
    except (NotReached, StillRunning) as error:
        print(error)
    except KeyboardInterrupt:
        print()
    finally:
        if hub is not None:
            hub.terminate()
            hub.wait()
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
