"""Whose folder of outputs it is: a job that continues another writes on in that one's.

So each folder says whose it is now, and a job of another name leaves a link to it. What a job leaves goes with the last
job that had it.
"""

import os
import shutil
from contextlib import suppress
from uuid import uuid4

__all__ = ["forget", "hand_on", "holder", "take"]

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
    note = os.path.join(place, NOTE)
    # Whole at any moment: it is read whenever somebody looks at what is there.
    with open(f"{note}-{uuid4().hex}", "w", encoding="utf-8") as file:
        file.write(job_id)
    os.replace(file.name, note)
    if folder != job_id:
        with suppress(FileExistsError):
            os.symlink(folder, os.path.join(os.path.abspath(root), job_id))
    return place


def hand_on(root: str, folder: str, *, giver: str, heir: str) -> None:
    """Let a job have the folder that it is to continue, before it runs; does nothing where it is not the giver's."""
    if holder(root, folder) in {giver, None}:
        take(root, folder, heir)


def holder(root: str, folder: str) -> str | None:
    """Which job's the folder is; None where none has had it."""
    try:
        with open(os.path.join(root, folder, NOTE), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def forget(root: str, job_id: str, *, uploads: str | None = None) -> None:
    """Remove what the job left, and what was sent with it, unless another one went on with it.

    Args:
        root: of all outputs.
        job_id: whose.
        uploads: the folder in which what was sent lies by the name of the job's folder.
    """
    own = os.path.join(os.path.abspath(root), job_id)
    place = os.path.realpath(own)
    inside = os.path.dirname(place) == os.path.realpath(root)
    if inside and holder(root, os.path.basename(place)) in {job_id, None}:
        shutil.rmtree(place, ignore_errors=True)
        if uploads is not None:
            shutil.rmtree(os.path.join(uploads, os.path.basename(place)), ignore_errors=True)
    if os.path.islink(own):
        with suppress(OSError):
            os.unlink(own)
