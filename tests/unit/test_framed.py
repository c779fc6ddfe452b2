"""One question to the agent without waiting for it: answers in pieces, too long ones, none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from pyssh_cli.net.framed import Exchange, listens
from pyssh_cli.net.loop import Loop

SECONDS = 60.0


class Asked:
    """An exchange on a pair of sockets, `agent` being the other end."""

    def __init__(self, request: bytes = b"question", seconds: float = SECONDS, most: int = 100) -> None:
        self.loop = Loop()
        self.socket, self.agent = socket.socketpair()
        self.answers: list[tuple[bytes | None, str]] = []
        Exchange(self.loop, self.socket, request, seconds, most, lambda *told: self.answers.append(told))

    def run(self) -> None:
        """Deal with all that is ready."""
        for _ in range(20):
            self.loop.run_once(monotonic())

    def close(self) -> None:
        self.agent.close()
        self.socket.close()
        self.loop.close()


@pytest.fixture
def asked() -> Iterator[Asked]:
    made = Asked()
    made.run()
    yield made
    made.close()


def test_an_answer_in_pieces_and_not_a_byte_more(asked: Asked) -> None:
    assert asked.agent.recv(100) == b"\0\0\0\x08question"
    for piece in (b"\0\0", b"\0\x03", b"y", b"es" + b"next"):
        assert not asked.answers
        asked.agent.sendall(piece)
        asked.run()
    assert asked.answers == [(b"yes", "")]
    assert asked.socket.recv(100) == b"next"
    asked.agent.close()
    asked.run()
    assert len(asked.answers) == 1


@pytest.mark.parametrize("said", [b"\0\0\0\0", b"\0\0\0\x65", b"\xff\xff\xff\xff"])
def test_lengths_that_cannot_be(asked: Asked, said: bytes) -> None:
    asked.agent.sendall(said)
    asked.run()
    ((body, why),) = asked.answers
    assert body is None
    assert "which cannot be" in why


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\0\0\0\x05half"])
def test_an_agent_that_hangs_up(asked: Asked, said: bytes) -> None:
    asked.agent.recv(100)
    asked.agent.sendall(said)
    asked.agent.close()
    asked.run()
    assert asked.answers == [(None, "it hangs up")]


def test_an_agent_that_does_not_answer() -> None:
    asked = Asked(seconds=0.0)
    asked.run()
    assert asked.answers == [(None, "it does not answer in time")]
    asked.agent.sendall(b"\0\0\0\x01!")
    asked.run()
    assert len(asked.answers) == 1
    asked.close()


def test_a_request_larger_than_the_socket_takes_at_once() -> None:
    asked = Asked(bytes(1 << 20))
    got = 0
    while got < 4 + (1 << 20):
        asked.run()
        got += len(asked.agent.recv(1 << 16))
    asked.agent.sendall(b"\0\0\0\x01!")
    asked.run()
    assert asked.answers == [(b"!", "")]
    asked.close()


def test_whether_anybody_listens(tmp_path: Path) -> None:
    path = tmp_path / "agent"
    assert not listens(str(path))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert not listens(str(path))
        sock.listen(0)
        for _ in range(3):  # also with a full queue
            assert listens(str(path))
    assert not listens(str(path))
    assert not listens("x" * 200)
    assert not listens("nul\0")
