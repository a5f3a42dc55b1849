"""Whose folder of outputs it is: a job that continues another writes on in that one's.

So each folder says which job used it last, and a job of another name leaves a link to it. What a job leaves goes with
the last job that used it.
"""

import os
import shutil
from contextlib import suppress

__all__ = ["forget", "take"]

NOTE = os.path.join(".tilepipe", "job")


def take(root: str, folder: str, job_id: str) -> str:
    """The folder of a job, made where it is missing.

    Args:
        root: of all outputs.
        folder: its name in there.
        job_id: whose it is from now on.
    """
    place = os.path.join(os.path.abspath(root), folder)
    os.makedirs(os.path.join(place, ".tilepipe"), exist_ok=True)
    with open(os.path.join(place, NOTE), "w", encoding="utf-8") as file:
        file.write(job_id)
    if folder != job_id:
        with suppress(FileExistsError):
            os.symlink(folder, os.path.join(os.path.abspath(root), job_id))
    return place


def forget(root: str, job_id: str, *, uploads: str | None = None) -> None:
    """Remove what the job left, and what was sent with it, unless another one went on with it.

    Args:
        root: of all outputs.
        job_id: whose.
        uploads: the folder in which what was sent lies by the name of the job's folder.
    """
    own = os.path.join(os.path.abspath(root), job_id)
    place = os.path.realpath(own)
    if os.path.dirname(place) == os.path.realpath(root) and _last(place) in {job_id, None}:
        shutil.rmtree(place, ignore_errors=True)
        if uploads is not None:
            shutil.rmtree(os.path.join(uploads, os.path.basename(place)), ignore_errors=True)
    if os.path.islink(own):
        with suppress(OSError):
            os.unlink(own)


def _last(place: str) -> str | None:
    try:
        with open(os.path.join(place, NOTE), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None
