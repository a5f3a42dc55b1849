import numpy as np

from tilepipe.geo.pyramid import global_pyramid
from tilepipe.identity import Identity, outdated, record

PYRAMID = global_pyramid("WorldCRS84Quad")


def identity(stamp):
    east = {"files": {"east.tif": stamp}, "extents": [[170.0, -10.0, 180.0, 10.0]]}
    return Identity(
        recipe={},
        process="",
        code="",
        layout={},
        zooms={"3": {"role": "process", "values": "", "inputs": {"east": east}}},
        margin_px=8,
        around=360.0,
    )


def test_a_changed_input_at_the_antimeridian_spoils_the_tiles_whose_buffer_sees_it_from_the_other_side():
    before = record(identity("old"), None)

    ((area, zooms, margin),) = outdated(before, identity("new"))

    cols = np.arange(16)
    touched = area.touched(PYRAMID, 3, np.full(16, 3), cols, margin)
    assert zooms == (3,)
    assert cols[touched].tolist() == [0, 15]


def test_the_same_inputs_spoil_nothing():
    assert list(outdated(record(identity("old"), None), identity("old"))) == []
