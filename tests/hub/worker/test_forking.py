"""The process that those of jobs are forked from, while its worker goes."""

import socket

import pytest

from tilepipe_hub.running.forking import forked


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_worker_that_is_gone_before_it_was_greeted_is_no_error(kind):
    worker, line = socket.socketpair(socket.AF_UNIX, kind)
    worker.close()

    assert forked(line.detach()) is False
