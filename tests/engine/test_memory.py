"""What is projected is enough for what is used."""

import numpy as np
import pytest

from contracts.images import write_image
from tilepipe.bind import open_pipeline
from tilepipe.errors import PlanError
from tilepipe.executors.pool import Processes
from tilepipe.memory import refuse_above, worker_bytes
from tilepipe.recipe import make_recipe
from tilepipe.run import run
from tilepipe.selection import Selection, make_plan


@pytest.fixture
def shading(tmp_path):
    """A recipe that shades 2048 x 2048 pixels in tiles of 1024 or less."""
    heights = np.random.default_rng(1).random((2048, 2048), dtype="float32") * 100
    write_image(tmp_path / "dem.tif", heights, nodata=-9999)

    def pipeline(metatile):
        document = {
            "process": "hillshade",
            "inputs": {"dem": "dem.tif"},
            "pyramid": {"grid": {"like": "dem"}, "metatile": metatile, "pixelbuffer": 1},
            "overviews": {"resampling": "average"},
            "output": {"path": f"out{metatile}", "dtype": "uint8", "nodata": 0},
        }
        return open_pipeline(make_recipe(document, folder=str(tmp_path)))

    return pipeline


@pytest.mark.slow
@pytest.mark.parametrize("metatile", [1, 4])
def test_no_worker_needs_more_than_was_projected(shading, metatile):
    pipeline = shading(metatile)
    engine = Processes(2)
    plan = make_plan(pipeline, Selection(), slots=engine.workers)

    peaks = [outcome.peak_bytes for outcome in run(pipeline, plan, selection=Selection(), executor=engine)]

    assert 0 < max(peaks) <= worker_bytes(pipeline, plan.depth)


def test_larger_metatiles_need_more(shading):
    assert worker_bytes(shading(4), 2) > worker_bytes(shading(1), 2)


def test_a_run_that_needs_more_than_the_limit_is_refused():
    with pytest.raises(PlanError, match="3 workers of 200 MB need 600 MB, the limit is 500 MB; use fewer workers"):
        refuse_above(500_000_000, worker=200_000_000, workers=3)


def test_a_run_that_fits_is_not_refused():
    assert refuse_above(600_000_000, worker=200_000_000, workers=3) is None
