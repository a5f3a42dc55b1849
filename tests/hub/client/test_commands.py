"""`tilepipe hub` as a user calls it."""

import base64
import json
import sys

import pytest

from tilepipe.cli.main import main
from tilepipe_hub.client import ClientError, Process
from tilepipe_hub.client.words import inputs_of, recipe_inputs

DONE = {"status": "successful", "progress": 100}


@pytest.fixture
def hub(farm, capsys, monkeypatch):
    """A command; its exit code, and what it said on both channels."""
    monkeypatch.setenv("TILEPIPE_HUB_URL", farm.url)

    def run(*arguments):
        code = 0
        try:
            main(["hub", *map(str, arguments)])
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def execution(farm):
    return next(item for item in farm.seen if item.path.endswith("/execution"))


def test_a_job_is_sent_and_its_id_printed(farm, hub):
    assert hub("submit", "echo", "-i", "text=12", "-i", "number=12", "--key", "k") == (0, "job-1\n", "")
    assert execution(farm).json["inputs"] == {"text": "12", "number": 12}
    assert execution(farm).headers["idempotency-key"] == "k"


def test_files_become_inputs(farm, hub, tmp_path, image):
    (tmp_path / "object.json").write_text('{"a": 1}')
    (tmp_path / "image.tif").write_bytes(image)

    hub("submit", "echo", "-i", f"object=@{tmp_path}/object.json", "-i", f"image=@{tmp_path}/image.tif")

    encoded = {"value": base64.b64encode(image).decode(), "encoding": "base64", "mediaType": "image/tiff"}
    assert execution(farm).json["inputs"] == {"object": {"value": {"a": 1}}, "image": encoded}


def test_a_text_is_sent_as_a_file_where_the_process_takes_files(farm, hub, tmp_path):
    (tmp_path / "notes.txt").write_text("notes")

    hub("submit", "echo", "-i", "text=a", "-i", f"image=@{tmp_path}/notes.txt")

    encoded = {"value": base64.b64encode(b"notes").decode(), "encoding": "base64", "mediaType": "text/plain"}
    assert execution(farm).json["inputs"]["image"] == encoded


@pytest.mark.parametrize("path", ["data/dem.tif", "datadem1"])
def test_a_relative_path_is_told_what_to_write(farm, hub, tmp_path, monkeypatch, path):
    # The second name would also be text in base64.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datadem1").touch()

    code, _, said = hub("submit", "echo", "-i", "text=a", "-i", f"image={path}")

    assert code == 2
    assert "neither an absolute path nor an address" in said
    assert "image=@FILE" in said
    assert not any(item.path.endswith("/execution") for item in farm.seen)


def test_a_recipe_is_sent_with_the_name_of_its_process(farm, hub, tmp_path):
    (tmp_path / "recipe.yaml").write_text("process: ../processes/hillshade.py\nzooms: [0, 3]\n")
    farm.answers["POST /processes/recipe/execution"] = (201, {}, {"jobID": "r", "status": "accepted"})

    assert hub("submit", "--recipe", tmp_path / "recipe.yaml")[:2] == (0, "r\n")
    recipe = {"process": "hillshade", "zooms": [0, 3]}
    assert execution(farm).json["inputs"] == {"recipe": {"value": recipe, "mediaType": "application/json"}}


@pytest.mark.parametrize("arguments", [[], ["echo", "--recipe", "r.yaml"]])
def test_a_process_or_a_recipe_is_sent(hub, arguments):
    code, _, said = hub("submit", *arguments)

    assert code == 2
    assert "name a process, or a recipe with --recipe" in said


@pytest.mark.parametrize(("end", "code"), [("successful", 0), ("failed", 1), ("dismissed", 1)])
def test_waiting_ends_as_the_job_does(farm, hub, end, code):
    farm.script = [{"status": "running", "progress": 40}, {"status": end, "message": "words"}]

    found, out, _ = hub("submit", "echo", "-i", "text=a", "--wait")

    assert found == code
    assert out.splitlines()[0].split()[:4] == ["job-1", "running", "40", "%"]
    assert out.splitlines()[-1].split()[1] == end


def test_an_interrupted_wait_says_how_to_look_again(farm, hub, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tilepipe_hub.client.caller.watch", interrupted)

    assert hub("submit", "echo", "-i", "text=a", "--wait") == (
        130,
        "",
        "the job goes on; look again with: tilepipe hub watch job-1\n",
    )


def test_outputs_that_come_at_once_are_shown(farm, hub):
    farm.answers["POST /processes/echo/execution"] = (200, {}, {"text": "a", "item": {"href": "/stac.json"}})

    assert hub("submit", "echo", "-i", "text=a", "--sync") == (0, f"text  a\nitem  {farm.url}/stac.json\n", "")


def test_watching_leaves_in_time(farm, hub):
    farm.jobs["j"] = {"status": "running"}

    code, _, said = hub("watch", "j", "--timeout", "0.05")

    assert code == 1
    assert "wait longer, or look later" in said


def test_jobs_are_listed(farm, hub):
    farm.jobs = {"a": {**DONE, "created": "2030-01-01T00:00:00Z"}, "b": {"status": "running"}}

    assert hub("list")[1] == "a  successful  100 %  echo  2030-01-01T00:00:00Z\nb  running            echo\n"
    assert [job["jobID"] for job in json.loads(hub("list", "--status", "running", "--json")[1])] == ["b"]
    farm.pages = 1
    assert hub("list", "--since", "2030", "--status", "failed") == (0, "", "")
    assert farm.seen[-1].query["datetime"] == ["2030/.."]


def test_a_job_is_one_row_whatever_its_message(farm, hub):
    farm.jobs["j"] = {"status": "failed", "message": "1 tile failed:\ntile 2/1/0: ValueError\n" + 50 * "more "}
    farm.pages = 1

    (row,) = hub("list")[1].splitlines()
    (line,) = hub("watch", "j")[1].splitlines()
    first, *rest = hub("status", "j")[1].splitlines()

    assert "1 tile failed: tile 2/1/0: ValueError more more" in row
    assert row.endswith(" ...")
    assert len(row) < 160
    assert line.endswith(" ...")
    assert first == line
    assert rest[0] == "  tile 2/1/0: ValueError"


TILES = {"done": 340, "total": 1200, "failed": 3, "rate": 12.34, "etaSeconds": 700.0}


@pytest.mark.parametrize("command", [("list",), ("status", "j"), ("watch", "j")])
def test_tiles_are_told_where_the_server_counts_them(farm, hub, command):
    farm.jobs["j"] = {"status": "running", "progress": 0, "title": "Alps", "tiles": TILES}
    farm.script = [dict(farm.jobs["j"]), {"status": "successful", "tiles": TILES}] if command[0] == "watch" else []
    farm.pages = 1

    first, *rest = hub(*command)[1].splitlines()

    assert first.endswith("Alps: 340 of 1200 tiles, 3 failed, 12 a second, about 12 min to go")
    assert "to go" not in "".join(rest)


@pytest.mark.parametrize("tiles", [7, {"done": 1}, {"done": "a", "total": 2}, None])
def test_tiles_of_another_kind_are_left_alone(farm, hub, tiles):
    farm.jobs["j"] = {"status": "running", "progress": 5, "tiles": tiles}

    assert hub("status", "j") == (0, "j  running       5 %  echo\n", "")


def test_jobs_are_searched_also_where_the_server_does_not(farm, hub):
    farm.jobs = {"a": {"status": "running", "title": "Alps nightly"}, "b": {"status": "running", "keywords": ["x"]}}
    farm.pages = 1

    assert hub("list", "--search", "nightly ALPS")[1] == "a  running  echo  Alps nightly\n"
    assert farm.seen[-1].query["q"] == ["nightly ALPS"]
    assert hub("list", "--search", "x")[1].split()[0] == "b"


def test_a_job_is_sent_with_title_labels_and_callbacks(farm, hub):
    words = ("--title", "Alps", "--label", "a", "--label", "b", "--callback", "https://x.example/done")

    hub("submit", "echo", "-i", "text=1", *words, "--callback-progress", "https://x.example/now")
    hub("submit", "echo", "-i", "text=1")

    sent, plain = [item.json for item in farm.seen if item.path.endswith("/execution")]
    assert (sent["title"], sent["labels"]) == ("Alps", ["a", "b"])
    assert sent["subscriber"] == {
        "successUri": "https://x.example/done",
        "failedUri": "https://x.example/done",
        "inProgressUri": "https://x.example/now",
    }
    assert not {"title", "labels", "subscriber"} & plain.keys()


def test_a_job_is_shown(farm, hub):
    farm.jobs["j"] = {"status": "running", "progress": 7, "message": "working"}

    assert hub("status", "j") == (0, "j  running       7 %  echo  working\n", "")
    assert json.loads(hub("status", "j", "--json")[1])["progress"] == 7


def test_a_job_is_cancelled_and_one_that_has_ended_is_kept(farm, hub):
    farm.jobs = {"a": {"status": "running"}, "b": dict(DONE)}

    assert "dismissed" in hub("cancel", "a")[1]
    assert "successful" in hub("cancel", "b")[1]
    assert farm.paths("DELETE") == ["/jobs/a"]
    hub("cancel", "b", "--remove")
    assert sorted(farm.jobs) == ["a"]


def test_results_are_shown_or_kept(farm, hub, tmp_path):
    farm.jobs["j"] = dict(DONE)
    farm.answers["GET /jobs/j/results"] = (200, {}, {"text": "a", "number": 2})

    assert hub("results", "j") == (0, "text    a\nnumber  2\n", "")
    assert json.loads(hub("results", "j", "--json")[1]) == {"text": "a", "number": 2}
    assert hub("results", "j", "--folder", tmp_path)[1] == f"{tmp_path}/text.txt\n{tmp_path}/number.json\n"


def test_a_long_result_is_shown_in_one_line(farm, hub):
    farm.jobs["j"] = dict(DONE)
    farm.answers["GET /jobs/j/results"] = (200, {}, {"text": "a\nb" * 200, "object": {"a": [1]}})

    first, second = hub("results", "j")[1].splitlines()

    assert first.startswith("text    a ba b")
    assert first.endswith(" ...")
    assert second == 'object  {"a": [1]}'


def test_processes_are_listed_and_described(hub):
    assert hub("processes") == (0, "echo  1.0.0  Echo\n", "")
    said = hub("processes", "echo")[1]
    assert said.startswith("echo  Echo\n\ninputs\n  text    string  required  Text\n")
    assert json.loads(hub("processes", "echo", "--json")[1])["id"] == "echo"


RELIEF = {
    "id": "relief",
    "title": "Relief",
    "inputs": {
        "dem": {"schema": {"oneOf": [{"type": "string", "contentEncoding": "binary"}, {"type": "object"}]}},
        "angle": {"minOccurs": 0, "schema": {"type": "number", "minimum": 0, "maximum": 90, "default": 45.0}},
        "kind": {"minOccurs": 0, "schema": {"type": "string", "enum": ["plain", "steep"], "default": "plain"}},
        "names": {"minOccurs": 0, "maxOccurs": 9, "schema": {"type": "string"}},
        "output": {
            "schema": {
                "type": "object",
                "required": ["dtype"],
                "properties": {"dtype": {"type": "string"}, "bands": {"type": "integer", "default": 1}},
                "example": {"dtype": "uint8"},
            }
        },
    },
}


def test_a_process_tells_ranges_defaults_fields_and_an_example(farm, hub):
    farm.answers["GET /processes/relief"] = (200, {}, RELIEF)

    said = [" ".join(line.split()) for line in hub("processes", "relief")[1].splitlines()]

    assert "dem file required" in said
    assert "angle number from 0 to 90 default 45.0" in said
    assert 'kind string default "plain" one of plain, steep' in said
    assert "names string, may be repeated" in said
    assert "output.dtype string required" in said
    assert "output.bands integer default 1" in said
    assert said[-1] == """tilepipe hub submit relief -i dem=/data/file.tif -i 'output={"dtype": "uint8"}'"""


@pytest.mark.parametrize("schema", [7, {"type": ["a"]}, {"oneOf": 3}, {"enum": 3, "default": {}}, {"properties": []}])
def test_odd_descriptions_are_shown_too(farm, hub, schema):
    farm.answers["GET /processes/odd"] = (200, {}, {"id": "odd", "inputs": {"a": {"schema": schema}, "b": 3}})

    assert hub("processes", "odd")[0] == 0


def test_a_process_of_python_is_deployed(farm, hub, tmp_path):
    (tmp_path / "mine.py").write_text("def execute(): ...")
    farm.answers["POST /processes"] = (201, {}, {"id": "mine"})
    farm.answers["GET /processes/mine"] = (200, {}, {"id": "mine"})
    farm.answers["PUT /processes/mine"] = farm.answers["DELETE /processes/mine"] = (204, {}, b"")

    assert hub("deploy", tmp_path / "mine.py") == (0, "mine\n", "")
    assert hub("deploy", tmp_path / "mine.py", "--replace") == (0, "mine\n", "")
    assert hub("undeploy", "mine") == (0, "", "")
    assert farm.seen[0].json["executionUnit"]["value"] == "def execute(): ..."
    assert farm.seen[0].json["processDescription"]["process"]["id"] == "mine"


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"processDescription": []}'])
def test_a_package_that_is_none_is_not_sent(farm, hub, tmp_path, text):
    (tmp_path / "package.json").write_text(text)

    code, _, said = hub("deploy", tmp_path / "package.json")

    assert code == 2
    assert "package.json: " in said
    assert farm.seen == []


@pytest.mark.parametrize("command", ["retry", "logs"])
def test_what_only_a_hub_offers_is_told(farm, hub, command):
    farm.jobs["j"] = dict(DONE)

    code, out, said = hub(command, "j")

    assert (code, out) == (2, "")
    assert "a tilepipe hub does" in said


def test_a_refusal_is_one_line(farm, hub):
    assert hub("status", "none") == (
        2,
        "",
        f"error: GET {farm.url}/jobs/none: the server answers 404, No such thing: there is no /jobs/none\n",
    )


def test_without_the_extra_the_command_says_what_to_install(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "tilepipe_hub.commands", None)

    code, _, said = hub("list")

    assert code == 2
    assert "pip install -e '.[hub]' in a checkout" in said


ECHO = Process(
    id="echo",
    inputs={
        "text": {"schema": {"type": "string"}},
        "data": {"schema": {"oneOf": [{"type": "string", "contentEncoding": "binary"}, {"type": "object"}]}},
    },
)


@pytest.mark.parametrize(
    ("words", "inputs"),
    [
        (["text=true"], {"text": "true"}),
        (["text=a=b"], {"text": "a=b"}),
        (["text=http://a.example/b"], {"text": "http://a.example/b"}),
        (["text=@@home"], {"text": "@home"}),
        (["text=a", "text=b"], {"text": ["a", "b"]}),
        (["data=http://a.example/b.tif"], {"data": {"href": "http://a.example/b.tif"}}),
        (["data=s3://bucket/b.tif"], {"data": {"href": "s3://bucket/b.tif"}}),
        (["data=/data/b.tif"], {"data": {"href": "/data/b.tif"}}),
        (["text=/data/b.tif"], {"text": "/data/b.tif"}),
        (['data={"href": "x"}'], {"data": {"href": "x"}}),
        (['data={"bbox": [1, 2, 3, 4]}'], {"data": {"bbox": [1, 2, 3, 4]}}),
        (['data={"a": 1}'], {"data": {"value": {"a": 1}}}),
        (["data=[1, 2]"], {"data": [1, 2]}),
    ],
)
def test_words_become_inputs(words, inputs):
    assert inputs_of(words, ECHO) == inputs


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("text", "write name=value or name=@file"),
        ("=a", "write name=value or name=@file"),
        ("txet=a", "takes no input 'txet'; did you mean 'text'"),
        ("text=@nowhere.json", "cannot be read: No such file"),
    ],
)
def test_words_that_are_no_inputs_are_told(word, message):
    with pytest.raises(ClientError, match=message):
        inputs_of([word], ECHO)


def test_a_recipe_keeps_the_process_that_is_no_file():
    assert recipe_inputs({"process": "slope"})["recipe"]["value"] == {"process": "slope"}
