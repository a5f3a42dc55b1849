"""`make hub`: a hub on this machine with one job done, which stays until it is interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from demo import write_dem

from tilepipe_hub.client import JobStatus, NotReached, StillRunning, open_client

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out" / "hub"
PORT = os.environ.get("PORT", "8000")
URL = f"http://127.0.0.1:{PORT}"
SETTINGS = """\
store: {{url: "sqlite:///{out}/jobs.db"}}
folders: {{outputs: {out}/outputs, uploads: {out}/uploads}}
fence: {{input_roots: [{out}/data]}}
"""


def start() -> subprocess.Popen[bytes]:
    """A hub with a worker beside it, and its data under `out/hub`."""
    write_dem(OUT / "data" / "dem.tif")
    settings = OUT / "hub.yaml"
    settings.write_text(SETTINGS.format(out=OUT), encoding="utf-8")
    command = [sys.executable, "-m", "tilepipe_hub", "serve", "--config", settings, "--port", PORT]
    return subprocess.Popen(command)


def submit() -> JobStatus:
    """Shaded relief of the sample, as soon as the hub answers."""
    # The first look comes before the hub does, and is tried again until it answers.
    with open_client(URL, token="", retries=8, http=httpx.Client(trust_env=False)) as client:
        client.process("hillshade")
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


def main() -> int:
    """Run the hub until it ends or is interrupted."""
    # However it is told to end, the hub ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hub = start()
    try:
        job = submit()
        print(f"\njob      {job.status}  {job.url}")
        print(f"pages    {URL}")
        print(f"in QGIS  Layer > Add Raster Layer: /vsicurl/{job.url}/output/stac.vrt")
        print(f"shell    tilepipe hub list --url {URL}")
        if job.status != "successful":
            print(job.message)
            return 1
        if "--once" not in sys.argv:
            print("it stays until Ctrl-C")
            hub.wait()
    except (NotReached, StillRunning) as error:
        print(error)
        return 1
    except KeyboardInterrupt:
        print()
    finally:
        hub.terminate()
        hub.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
