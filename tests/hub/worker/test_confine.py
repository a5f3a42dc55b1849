"""Connections that the kernel keeps a process from, whatever it does."""

import os
import socket
import struct

import pytest

from tilepipe_hub.running.confine import enclose, guards_ports, guards_signals, lacking, passing_ports

# Nothing but the calls under test is done between the fork and the end.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
guarded = pytest.mark.skipif(not guards_ports(), reason="this kernel guards no connections")

FASTOPEN, MPTCP = 0x20000000, 262


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def enclosed(deed, ports):
    """What is said of a deed in a process that gave up all but some ports: nothing where it can be done."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        words = "ended"
        try:
            enclose(readable=[], writable=[], ports=ports)
            deed()
            words = ""
        except OSError as error:
            words = error.strerror or "failed"
        finally:
            os.write(writing, words.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, encoding="utf-8") as file:
        return file.read()


def connected(port, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(socket.AF_INET, kind, protocol) as way:
        way.connect(("127.0.0.1", port))


def sent(port, *, message):
    with socket.socket() as way:
        if message:
            way.sendmsg([b"x"], [], FASTOPEN, ("127.0.0.1", port))
        else:
            way.sendto(b"x", FASTOPEN, ("127.0.0.1", port))


@guarded
def test_the_allowed_port_is_reached(port):
    assert enclosed(lambda: connected(port), [port]) == ""


@guarded
def test_any_port_is_reached_where_none_is_named(port):
    assert enclosed(lambda: connected(port), None) == ""


@guarded
def test_ports_that_programs_choose_are_reached(port):
    assert enclosed(lambda: connected(port), passing_ports()) == ""
    assert enclosed(lambda: connected(80), passing_ports()) == "Permission denied"


@guarded
@pytest.mark.parametrize(
    "deed",
    [
        connected,
        lambda port: connected(port, protocol=MPTCP),
        lambda port: connected(port, kind=socket.SOCK_DGRAM),
        lambda port: connected(port, kind=socket.SOCK_RAW, protocol=socket.IPPROTO_TCP),
        lambda port: sent(port, message=False),
        lambda port: sent(port, message=True),
        lambda _port: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
        lambda _port: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    ],
)
def test_no_other_port_is_reached_by_any_way(port, deed):
    assert enclosed(lambda: deed(port), [port + 1]) in {"Permission denied", "Operation not permitted"}


@guarded
def test_sockets_within_this_machine_work():
    def speak():
        ours, theirs = socket.socketpair()
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs.fileno()))])
        assert theirs.recv(1) == b"x"

    assert enclosed(speak, [1]) == ""


@pytest.mark.parametrize(
    ("files", "ports", "words"),
    [
        (True, False, "other hosts only by settings of GDAL and Python, which code can change: it takes Linux 6.7"),
        (False, False, "other files of this machine by nothing, from other hosts only by settings of GDAL and Python"),
    ],
)
def test_an_operator_is_told_what_the_kernel_does_not_guard(files, ports, words):
    assert lacking(files=files, ports=ports).startswith(words)


def test_an_operator_is_told_nothing_where_the_kernel_guards_all():
    assert lacking(files=True, ports=True) is None


@pytest.mark.skipif(not guards_signals(), reason="this kernel guards no signals")
def test_no_signal_reaches_a_process_outside():
    outside = os.getpid()

    assert enclosed(lambda: os.kill(outside, 0), None) == "Operation not permitted"
    assert enclosed(lambda: os.kill(os.getpid(), 0), None) == ""
