"""What Dask says while a cluster is ours."""

import logging
import subprocess
import sys

from tilepipe.executors.quiet import Quiet

SAYING = """
import logging
from tilepipe.executors.quiet import Quiet
quiet = Quiet()
logging.getLogger("asyncio").error("a port broke")
quiet.end()
logging.getLogger("asyncio").error("something else")
"""


def test_what_breaks_in_a_loop_is_kept_and_not_shown_while_the_cluster_is_ours():
    done = subprocess.run([sys.executable, "-c", SAYING], capture_output=True, text=True, check=True)

    assert done.stderr == "something else\n"


def test_the_last_errors_are_remembered():
    quiet = Quiet()
    try:
        for number in range(9):
            logging.getLogger("distributed").error("no worker %d", number)
    finally:
        quiet.end()

    assert list(quiet.errors) == [f"no worker {number}" for number in range(4, 9)]
