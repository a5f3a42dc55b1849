import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilepipe_hub.errors import SettingsError
from tilepipe_hub.running.discreet import discreet
from tilepipe_hub.running.folders import forget, take
from tilepipe_hub.running.memory import bytes_of

FOLDERS = {"/srv/hub/out": "outputs", "/srv/hub/out/abc": "output", "/srv/processes": "processes"}


def told(text, **secrets):
    return discreet(text, secrets=secrets, folders=FOLDERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/hub/out/abc/5/1.tif is gone", "output/5/1.tif is gone"),
        ("/srv/hub/out/def/5/1.tif", "outputs/def/5/1.tif"),
        ('File "/usr/lib/python3/site-packages/x/y.py", line 3', 'File ".../y.py", line 3'),
        ("see https://example.com/a/b.tif", "see https://example.com/a/b.tif"),
        ("/vsicurl/https://example.com/a/b.tif", "/vsicurl/https://example.com/a/b.tif"),
        ("tile 4/0/0: 3 of 4 and/or 5", "tile 4/0/0: 3 of 4 and/or 5"),
        ("key /home/ann/.aws/credentials", "key .../credentials"),
    ],
)
def test_folders_get_names_and_other_paths_are_cut(text, expected):
    assert told(text) == expected


@given(st.text(min_size=4), st.text(), st.text())
def test_a_secret_is_never_told(secret, before, after):
    shown = discreet(f"{before}{secret}{after}", secrets={"KEY": secret}, folders={})

    assert secret not in shown or secret in "${KEY}" * 3


def test_a_secret_is_found_in_a_link():
    assert told("https://x.org/?key=a%2Fb%20c", KEY="a/b c") == "https://x.org/?key=${KEY}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://h/x.tif?sig=a%2Fb&v=1#part cannot be opened", "https://h/x.tif?sig=...&v=...#part cannot be opened"),
        ("'/vsicurl/https://h/x.tif?token'", "'/vsicurl/https://h/x.tif?...'"),
        ("https://h/x?key=${KEY}&a=b", "https://h/x?key=${KEY}&a=..."),
        ("mongodb://ann:pw@h/name", "mongodb://...@h/name"),
        ("https://${USER}@h/x?", "https://${USER}@h/x?"),
        ("https://a@b:c@h/x?y=z@q", "https://...@h/x?y=..."),
        ("two: http://a/?b=c, http://d/?e=f", "two: http://a/?b=... http://d/?e=..."),
        ("is it a tile? say a=b", "is it a tile? say a=b"),
    ],
)
def test_nothing_lets_anybody_in_at_an_address(text, expected):
    assert told(text) == expected


def test_a_folder_goes_with_the_last_job_that_used_it(tmp_path):
    root, uploads = tmp_path / "out", tmp_path / "uploads"
    (uploads / "one").mkdir(parents=True)
    place = take(str(root), "one", "one")
    assert take(str(root), "one", "two") == place

    forget(str(root), "one", uploads=str(uploads))
    assert (root / "two").resolve() == root / "one"

    forget(str(root), "two", uploads=str(uploads))
    assert list(root.iterdir()) == []
    assert list(uploads.iterdir()) == []


def test_nothing_outside_of_the_outputs_is_forgotten(tmp_path):
    root, other = tmp_path / "out", tmp_path / "other"
    for place in (root, other):
        place.mkdir()
    (root / "job").symlink_to(other)

    forget(str(root), "job")
    forget(str(root), "../other")

    assert other.is_dir()


@pytest.mark.parametrize(("text", "expected"), [("4GB", 4e9), ("500M", 5e8), ("2GiB", 2**31), ("1.5 kB", 1500)])
def test_sizes_are_written_as_people_do(text, expected):
    assert bytes_of(text) == expected


def test_what_is_no_size_is_refused():
    with pytest.raises(SettingsError, match="'many' is no size; write 4GB"):
        bytes_of("many")
