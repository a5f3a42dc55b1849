"""What users do wrong: they are told once and clearly, nothing is half-done, and once it is mended the run goes on."""

import re

import pytest
from affine import Affine

from tilepipe.lock import hold

TILE = "2/1/3.tif"
ABOVE = {"1/0/1.tif", "0/0/0.tif"}
"""The overviews that show the tile at which the processes here fail."""

RECIPES = [
    ({"zoms": 3}, r"recipe\.yaml:26: zoms: unknown key; did you mean 'zooms'\?"),
    ({"pyramid__metatiles": 2}, r"recipe\.yaml:\d+: pyramid\.metatiles: unknown key; did you mean 'metatile'\?"),
    ({"output": None}, r"recipe\.yaml:1: output: is missing; say at least"),
    ({"pyramid__tile_size": "large"}, r"pyramid\.tile_size: is text 'large'; it takes a whole number"),
    ({"pyramid__tile_size": 100}, r"pyramid\.tile_size: is 100; it takes a multiple of 16"),
    ({"zooms": [5, 2]}, r"recipe\.yaml:\d+: zooms: has min 5 above max 2; swap them"),
    ({"overviews__below": 5}, r"overviews\.below: is 5, which is not among the zooms 0 to 2"),
    ({"overviews__resampling": "cubic"}, r"cubic looks beyond the tiles .*; choose one of"),
    ({"pyramid__grid": "WebMercatorQaud"}, r"there is no grid 'WebMercatorQaud'; did you mean 'WebMercatorQuad'\?"),
    ({"pyramid__grid__like": "dme"}, r"pyramid\.grid\.like: there is no input 'dme'; did you mean 'dem'\?"),
    ({"pyramid__metatile": 3}, r"pyramid\.metatile: is 3, no power of two; take 2 or 4"),
    ({"output__metatile": 2}, r"output\.metatile: is 2, larger than the process's 1 \(pyramid\.metatile\)"),
    ({"area": [10, 10, 11, 11]}, r"area: read in EPSG:4326, it lies outside of the pyramid, which covers 0, 0, 0\.00"),
    (
        {"area": "POLYGON ((0 0, 0.004 0.004, 0.004 0, 0 0.004, 0 0))"},
        r"area: not a valid geometry: Self-intersection.*make_valid",
    ),
    ({"area": "town.geojson"}, r"area: there is no file .*town\.geojson; give"),
    ({"area": {"path": "mine.py"}}, r"area: .*mine\.py cannot be opened as a vector file"),
    ({"area": "POLYGON (("}, r"area: not WKT: .*; it is written like POLYGON"),
    ({"area": "POLYGON EMPTY"}, r"area: the area is empty"),
    ({"area": "Vienna"}, r"recipe\.yaml:\d+: area: is text 'Vienna'; an area is"),
    ({"area": [8.5, 45, 8, 46]}, r"area: has bounds .* the order is \[left, bottom, right, top\]"),
    ({"area": {"bounds": [0, 0, 1, 1], "crs": "EPSG:99999"}}, r"area: 'EPSG:99999' is no coordinate reference system"),
    ({"process": "gone.py"}, r"process gone\.py: .*gone\.py cannot be read: No such file"),
    ({"process": "hilshade"}, r"process hilshade: neither a file .* did you mean 'hillshade'\?"),
    ({"inputs__dme": "dem.tif"}, r"execute\(\) takes no input 'dme'; did you mean 'dem'\?"),
    ({"parameters__facotr": 2}, r"execute\(\) takes no parameter 'facotr'; did you mean 'factor'\?"),
    ({"parameters__factor": "two"}, r"process mine\.py: parameter factor is 'two'; it should be a valid number"),
    ({"inputs__dem": "gone.tif"}, r"gone\.tif cannot be opened: .*No such file"),
    ({"inputs__dem": "mine.py"}, r"mine\.py cannot be opened: .*not recognized as being in a supported file format"),
    ({"inputs__dem": {"path": "dem.tif", "bands": [7]}}, r"dem\.tif has 1 band, numbered from 1; asked for: 7"),
    ({"inputs__dem": {"path": "dem.tif", "resampling": "bilinar"}}, r"inputs\.dem: .* did you mean 'bilinear'\?"),
    ({"inputs__dem": {"path": "dem.tif", "crs": "EPSG:1"}}, r"inputs\.dem: 'EPSG:1' is no coordinate reference system"),
    ({"inputs__dem": "${NOT_SET_ANYWHERE}/dem.tif"}, r"not set: NOT_SET_ANYWHERE \(in inputs\.dem\.path\); set them"),
    ({"output__path": "${NOT_SET_ANYWHERE}"}, r"variables are not set: NOT_SET_ANYWHERE \(in output\.path\); set them"),
    (
        {"pyramid__grid": {"crs": "EPSG:3857", "bounds": [1e4, 1e4, 2e4, 2e4], "resolution": 10}},
        r"the inputs lie in .* of EPSG:3857, outside of the pyramid's .*; choose another pyramid\.grid",
    ),
    ({"output__nodata": -9999}, r"output: nodata -9999\.0 does not fit; for uint8: a whole number from 0 to 255"),
    ({"output__nodata": None}, r"output: nodata is not said; for uint8: a whole number from 0 to 255, or null"),
    ({"output__options": {"compres": "lzw"}}, r"creation option COMPRES; did you mean 'COMPRESS'\?"),
    ({"output__options": {"compress": "zip"}}, r"'zip' is an unexpected value for COMPRESS creation option"),
    ({"output__dtype": "unit8"}, r"output: dtype 'unit8' cannot be stored; did you mean 'uint8'\?"),
    ({"output__dtype": None}, r"output\.dtype: is missing; add it"),
    ({"output__bands": 0}, r"output: bands is 0; a file has 1 to 65535"),
    ({"output__format": "geotif"}, r"there is no output format 'geotif'; did you mean 'gtiff'\?"),
    ({"output__path": "out.tif"}, r"output\.path: is 'out\.tif', the name of a file; tiles go to a folder"),
    ({"output__path": "mine.py"}, r"mine\.py cannot be made: Not a directory; choose another output\.path"),
    ({"output__path": "mine.py/out"}, r"mine\.py/out cannot be made: Not a directory; choose another output\.path"),
]

OPTIONS = [
    (["-e", "proceses"], r"there is no executor 'proceses'; did you mean 'processes'\?"),
    (["-w", "0"], r"'-w' / '--workers': 0 is not in the range"),
    (["--zoom", "7"], r"--zoom: there is no zoom 7 in the recipe; it has 0 to 2"),
    (["--zoom", "2-1"], r"'2-1' goes down; write the smaller zoom first"),
    (["--tile", "2", "9", "9"], r"--tile 2/9/9: zoom 2 has rows 0 to 3 and columns 0 to 3"),
    (["--tile", "9", "0", "0"], r"--tile 9/0/0: there is no zoom 9 in the recipe; it has 0 to 2"),
    (["--bounds", "0", "0", "1", "1", "--area", "POINT (0 0)"], r"--bounds and --area exclude each other; give one"),
    (["--bounds", "0", "1", "1", "0"], r"--bounds: bottom 1 is not below top 0; the order is left, bottom, right, top"),
    (["--bounds", "1", "0", "0", "1"], r"--bounds: left 1 is not west of right 0; the order is"),
    (["--bounds", "0", "nan", "1", "1"], r"--bounds: .* are not four finite numbers"),
    (["--bounds", "100", "100", "200", "200"], r"--bounds: read in EPSG:4326, it lies outside .* another crs\?"),
    (["--bounds", "0", "0", "1", "1", "--crs", "EPSG:99999"], r"--bounds: 'EPSG:99999' is no coordinate reference"),
    (["--point", "50", "50"], r"--point: read in EPSG:4326, it lies outside of the pyramid"),
    (["--point", "nan", "50"], r"--point: .* are not two finite numbers"),
    (["--area", "POLYGON ((0 0"], r"--area: not WKT"),
    (["--area", "town.gpkg"], r"--area: there is no file town\.gpkg"),
    (["--area", ""], r"--area: '' is no area; give"),
    (["--max-memory", "lots"], r"'lots' is no size; write 2G, 500MB or 2GiB"),
    (["--max-memory", "inf"], r"'inf' is no size; write 2G, 500MB or 2GiB"),
    (["--max-memory", "1M"], r"1 worker needs \d+ MB, the limit is 1 MB; use fewer workers"),
    (["--set", "output.path"], r"--set output\.path: has no =; write --set key\.sub=value"),
    (["--set", "zooms=many"], r"--set zooms=many: zooms: is text 'many'"),
    (["--log-file", "no/such/log.txt"], r"no/such/log\.txt cannot be written: No such file or directory; name a file"),
    (["--ovewrite"], r"No such option '--ovewrite'.*--overwrite"),
]

COMMANDS = [
    (["exceute", "recipe.yaml"], r"there is no command 'exceute'; did you mean 'execute'\?"),
    (["execute"], r"Missing argument 'RECIPE'"),
    (["execute", "."], r"\.: is a folder; name the file of a recipe in it"),
]

FILES = [
    ("recipe.yaml", None, r"recipe\.yaml: is not there; name the file of a recipe"),
    ("recipe.yaml", "", r"recipe\.yaml: is empty; a recipe has at least process, pyramid and output"),
    ("recipe.yaml", "process: mine.py\npyramid: {grid: x\nzooms: 3\n", r"recipe\.yaml:3:6: not YAML: "),
    ("recipe.yaml", b"\xff\xfe\x00", r"recipe\.yaml: is not text in UTF-8"),
    ("recipe.yaml", "- process", r"recipe\.yaml: is a list of 1; a recipe is a mapping"),
    ("mine.py", None, r"process mine\.py: .*mine\.py cannot be read: No such file"),
    ("mine.py", "def execute(dem):\n    return (\n", r"mine\.py cannot be loaded: line 2: SyntaxError: '\(' was never"),
    ("mine.py", "def excute(dem): pass", r"mine\.py has no function execute\(\); write one"),
    ("mine.py", "import no_such_library\ndef execute(dem): pass", r"line 1: ModuleNotFoundError: .*no_such_library"),
    ("mine.py", "import sys\nsys.exit(3)\n", r"mine\.py cannot be loaded: line 2: SystemExit: 3"),
    ("mine.py", "def execute(dem, clip): pass", r"execute\(\) needs clip, which the recipe does not give; it gives d"),
    ("dem.tif", None, r"dem\.tif cannot be opened: .*No such file"),
    ("dem.tif", b"", r"dem\.tif cannot be opened: .*not recognized"),
    ("out", "a letter", r"out cannot be made: Not a directory; choose another output\.path"),
]

FAULTS = [
    ("raise ValueError('no such class')", "mine.py: line 8: ValueError: no such class"),
    ("sys.exit('enough')", "mine.py: line 8: SystemExit: enough"),
    ("raise type('Stop', (BaseException,), {})('x')", "mine.py: line 8: Stop: x"),
    ("np.zeros((10**7, 10**7))", "mine.py: line 8: MemoryError: Unable to allocate"),
    ("dem.reed()", "mine.py: line 8: AttributeError: 'TileInput' object has no attribute 'reed'"),
    ("return dem.read()[:, 1:]", "returned an array of shape (1, 15, 16); the tile with its buffer has 16 rows and 16"),
    ("return np.zeros(16)", "returned an array of shape (16,)"),
    ("return np.zeros((3, 16, 16))", "execute() returned 3 bands; output.bands is 1"),
    ("return 'done'", "execute() returned str; it must return an array or None"),
    ("return np.full((16, 16), 'a')", "execute() returned an array of <U1; it must hold numbers"),
    ("return np.full((16, 16), 1j)", "execute() returned complex numbers; output.dtype is uint8"),
    ("return dem.read() * 1000", "values from 15000.0 to 234000.0, which uint8 (0 to 255) cannot hold; choose another"),
    ("return np.full((16, 16), -1)", "values from -1 to -1, which uint8 (0 to 255) cannot hold"),
    ("raise InputError('gone for good')", "gone for good"),
    ("dem.read(2)", "dem.tif has 1 band, numbered from 1; asked for: 2"),
]


@pytest.fixture
def reference(desk):
    """What comes of it without mistakes."""
    assert desk.execute("--set", "output.path=reference").code == 0
    return desk.tiles("reference")


@pytest.mark.parametrize(("changes", "message"), RECIPES)
def test_a_mistake_in_the_recipe_is_named_before_anything_is_made(desk, changes, message):
    desk.recipe(**changes)

    desk.refuses(message)


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_a_mistake_in_the_options_is_named_before_anything_is_made(desk, options, message):
    desk.refuses(message, "execute", "recipe.yaml", "-e", "sequential", *options)


@pytest.mark.parametrize(("name", "content", "message"), FILES)
def test_a_file_that_is_missing_or_wrong_is_named_before_anything_is_made(desk, name, content, message):
    (desk.folder / name).unlink(missing_ok=True)
    if content is not None:
        (desk.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    desk.refuses(message)


@pytest.mark.parametrize(("words", "message"), COMMANDS)
def test_a_command_on_nothing_is_refused(desk, words, message):
    desk.refuses(message, *words)


@pytest.mark.parametrize("command", ["validate", "plan", "execute"])
def test_each_command_sees_a_mistake_in_the_area(desk, command):
    desk.recipe(area="town.geojson")

    desk.refuses(r"area: there is no file .*town\.geojson", command, "recipe.yaml")


@pytest.mark.parametrize(
    ("form", "message"),
    [({"crs": None}, r"does not say its reference system"), ({"transform": Affine.identity()}, r"no place on earth")],
)
def test_an_input_that_lies_nowhere_is_named(desk, form, message):
    desk.raster(**form)

    desk.refuses(rf"dem\.tif .*{message}")


@pytest.mark.filterwarnings("default")
def test_an_area_that_no_input_reaches_is_doubted_and_empty(desk):
    desk.recipe(pyramid__grid="WebMercatorQuad", zooms=[12], overviews=None, area=[10, 10, 10.01, 10.01])

    said = desk.execute()

    assert said.err.startswith("warning: input dem lies in 0, 0, 640, 640 of EPSG:3857 and does not reach the area")
    assert (said.code, said.err.count("\n")) == (0, 1)
    assert "0 written, 1 empty, 0 failed" in said.out


@pytest.mark.parametrize("name", [".tilepipe", ".tilepipe/lock/x"])
def test_an_output_that_cannot_be_written_to_is_named(desk, name):
    path = desk.folder / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("")

    desk.refuses(r"/out(/\.tilepipe(/lock)?)? cannot be (made|opened): ")


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_a_fault_of_the_process_names_tile_and_line_and_the_mended_run_goes_on(desk, reference, fault, message):
    desk.process(fault)

    said = desk.execute()

    assert said.code == 1
    assert said.err.startswith("error: 1 tile failed:\ntile 2/1/3: ")
    assert message in said.err
    assert said.err.count("\n") == 3
    assert "1 failed" in said.out
    assert TILE not in desk.whole(reference)

    desk.process()
    again = desk.execute("--accept-changes")
    assert (again.code, again.err) == (0, "")
    assert " kept" in again.out
    assert desk.tiles() == reference


def test_with_skip_the_other_tiles_are_made_and_the_mended_run_makes_what_is_missing(desk, reference):
    desk.process("raise ValueError('no such class')")

    said = desk.execute("--on-error", "skip", "--log-file", "log.txt")

    assert said.code == 1
    assert said.out.startswith("18 written, 2 blocked, 1 failed")
    assert "Traceback" not in said.err
    assert "Traceback" in (desk.folder / "log.txt").read_text()
    assert desk.whole(reference) == reference.keys() - {TILE} - ABOVE

    desk.process()
    assert re.search(r"the code of the process: .*\n.*--accept-changes keeps them", desk.execute().err)
    assert desk.execute("--accept-changes").out.startswith("3 written, 18 kept, 0 failed")
    assert desk.tiles() == reference


@pytest.mark.parametrize(("policy", "failed"), [("stop", 1), ("skip", 16)])
def test_a_process_that_fails_everywhere_leaves_no_tile(desk, policy, failed):
    (desk.folder / "mine.py").write_text("def execute(dem):\n    return dem.read() / []\n")

    said = desk.execute("--on-error", policy)

    assert said.code == 1
    assert f"error: {failed} tile{'s' * (failed > 1)} failed:\ntile 2/0/0: mine.py: line 2: " in said.err
    assert desk.tiles() == {}


def test_a_truncated_input_is_named_with_the_tile_and_mended_without_a_hand(desk, reference):
    payload = (desk.folder / "dem.tif").read_bytes()
    (desk.folder / "dem.tif").write_bytes(payload[: len(payload) // 2])

    said = desk.execute("--retries", "0")

    assert said.code == 1
    assert re.match(r"error: 1 tile failed:\ntile 2/\d/\d: .*dem\.tif cannot be read at rows \d+-\d+, col", said.err)
    desk.whole(reference)

    (desk.folder / "dem.tif").write_bytes(payload)
    assert desk.execute().code == 0
    assert desk.tiles() == reference


def test_a_fault_that_passes_is_tried_again(desk, reference):
    desk.process("MET.append(1) if MET else (MET.append(1), (_ for _ in ()).throw(InputError('gone', passing=True)))")

    assert desk.execute().code == 0
    assert desk.tiles() == reference


def test_a_file_in_the_way_of_a_tile_is_named(desk, reference):
    (desk.folder / "out/2/1").mkdir(parents=True)
    (desk.folder / "out/2/1/3.tif").mkdir()

    said = desk.execute("--retries", "0")

    assert said.code == 1
    assert re.search(r"tile 2/1/3: .*out/2/1/3\.tif cannot be written: Is a directory; .*move it away", said.err)
    (desk.folder / "out/2/1/3.tif").rmdir()
    assert desk.execute().code == 0
    assert desk.tiles() == reference


def test_a_changed_recipe_is_refused_key_by_key(desk, reference):
    desk.execute()

    said = desk.execute("--set", "parameters.factor=0.5")

    assert (said.code, said.out) == (2, "")
    assert re.search(r"another recipe:\n  parameters: unset -> .*factor.*\n--overwrite .*, --accept-changes", said.err)
    assert desk.tiles() == reference
    assert desk.execute().out.startswith("0 written, 21 kept")


def test_a_second_run_is_refused_and_the_first_is_named(desk):
    (desk.folder / "out/.tilepipe").mkdir(parents=True)
    with hold(str(desk.folder / "out/.tilepipe"), {"pid": 4711, "host": "here"}):
        desk.refuses(r"another run holds .*/lock \(pid 4711, host here\); wait for it or stop it")


def test_an_interrupted_run_goes_on(desk, reference):
    desk.process("MET.append(1) if MET else (MET.append(1), os.kill(os.getpid(), signal.SIGINT))")

    said = desk.execute()

    assert said.code == 130
    assert said.err.strip() == "interrupted; run the same command again to go on"
    desk.whole(reference)
    assert desk.execute().code == 0
    assert desk.tiles() == reference


@pytest.mark.slow
def test_a_process_that_ends_its_worker_is_named_and_the_others_are_made(desk, reference):
    desk.process("os._exit(3)")

    said = desk.tilepipe("execute", "recipe.yaml", "-e", "processes", "-w", "2", "--on-error", "skip")

    assert said.code == 1
    assert "error: 1 tile failed:\ntile 2/1/3: the worker process ended" in said.err
    assert desk.whole(reference) == reference.keys() - {TILE} - ABOVE

    desk.process()
    assert desk.execute("--accept-changes").out.startswith("3 written, 18 kept")
    assert desk.tiles() == reference


@pytest.mark.slow
def test_a_process_that_takes_all_memory_is_named(desk, reference):
    desk.process("[MET.append(np.zeros(2**24)) for _ in range(10**6)]")

    said = desk.shell("ulimit -v 4000000; tilepipe execute recipe.yaml -e sequential")

    assert said.returncode == 1
    assert said.stderr.startswith("error: 1 tile failed:\ntile 2/1/3: mine.py: line 8: MemoryError: Unable to allocate")
    desk.whole(reference)


NOISE = """
import numpy as np
from tilepipe import Tile

def execute(tile: Tile):
    return np.random.default_rng([*tile]).integers(1, 255, (64, 64), dtype="uint8")
"""


@pytest.mark.slow
def test_a_full_disk_is_named_and_with_more_space_the_run_goes_on(desk):
    if desk.shell("mount -t tmpfs tmpfs .", within=["unshare", "-m"]).returncode:
        pytest.skip("only root may mount a small disk")
    (desk.folder / "mine.py").write_text(NOISE)
    pyramid = {"grid": "WebMercatorQuad", "tile_size": 64, "metatile": 1}
    desk.recipe(inputs={}, pyramid=pyramid, zooms=[0, 4], overviews__below=4, output__path="small/out")
    assert desk.execute("--set", "output.path=reference").code == 0
    (desk.folder / "small").mkdir()
    script = """
        mount -t tmpfs -o size=1m tmpfs small || exit 9
        head -c 2m /dev/zero > small/other 2> /dev/null
        tilepipe execute recipe.yaml -e sequential; echo code $?
        rm small/other
        tilepipe execute recipe.yaml -e sequential; echo code $?
        cp -r small/out full
        mount -o remount,size=64m small
        tilepipe execute recipe.yaml -e sequential; echo code $?
        cp -r small/out free
    """

    said = desk.shell(script, within=["unshare", "-m"])

    assert re.findall(r"code \d", said.stdout) == ["code 1", "code 1", "code 0"]
    assert re.fullmatch(
        r"(error: .*/out/\S+ cannot be (locked|written): No space left on device; .*\n){2}", said.stderr
    )
    reference, full = desk.tiles("reference"), desk.tiles("full")
    assert 10 < len(full) < len(reference)
    assert all(payload == reference[name] for name, payload in full.items() if name != "0/0/0.tif")
    assert desk.tiles("free") == reference


@pytest.mark.slow
def test_the_command_itself_ends_with_the_code_and_no_traceback(desk):
    desk.recipe(area={"bounds": [0, 0, 1, 1], "crs": "EPSG:99999"})

    said = desk.shell("tilepipe execute recipe.yaml")

    assert said.returncode == 2
    assert said.stderr.startswith("error: recipe.yaml: area: 'EPSG:99999' is no coordinate reference system; give")
    assert said.stderr.count("\n") == 1
