"""Exit codes: the remote command's own, and ssh's 255 for everything else."""

from __future__ import annotations

import pytest

from tests.system.clients import Client
from tests.system.conftest import StartServer
from tests.system.servers import Server
from tests.system.waiting import PATIENCE


@pytest.mark.parametrize("code", [0, 1, 2, 77, 127, 128, 254, 255])
def test_exit_code_of_the_command_passes(pyssh: Client, openssh: Server, code: int) -> None:
    pyssh.aim(openssh)
    assert pyssh.run("box", f"exit {code}").returncode == code


def test_every_server_passes_an_exit_code(pyssh: Client, server: Server) -> None:
    pyssh.aim(server)
    done = pyssh.run("box", "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_command_ended_by_a_signal_gives_255(pyssh: Client, openssh: Server, name: str) -> None:
    pyssh.aim(openssh)
    assert pyssh.run("box", f"kill -{name} $$").returncode == 255


def test_signal_reported_by_another_server_gives_255(pyssh: Client, asyncssh_server: Server) -> None:
    pyssh.aim(asyncssh_server)
    assert pyssh.run("box", "kill -TERM $$").returncode == 255


def test_missing_command_gives_the_shells_127(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("box", "no-such-command-anywhere")
    assert done.returncode == 127
    assert b"no-such-command-anywhere" in done.stderr


def test_words_of_the_command_are_joined_by_blanks(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("box", "echo", "a  b", "'c  d'", "$((6 * 7))")
    assert done.stdout == b"a b c  d 42\n"


def test_flags_are_taken_after_the_destination_and_left_to_the_command_after_its_first_word(
    pyssh: Client, openssh: Server
) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("box", "-q", "-T", "echo", "-n", "-v")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"-v", b"")


@pytest.mark.parametrize("form", ["user-at-host", "uri", "flags"])
def test_destination_forms_reach_the_same_account(pyssh: Client, openssh: Server, form: str) -> None:
    pyssh.aim(openssh)
    port = str(openssh.port)
    common = ["-i", str(pyssh.keys.path("ed25519")), "-o", "IdentitiesOnly=yes"]
    words = {
        "user-at-host": ["-p", port, f"{openssh.user}@127.0.0.1"],
        "uri": [f"ssh://{openssh.user}@127.0.0.1:{port}"],
        "flags": ["-l", openssh.user, "-p", port, "127.0.0.1"],
    }[form]
    done = pyssh.run(*common, *words, "id", "-un")
    assert done.stdout.decode() == f"{openssh.user}\n", done.stderr


def test_connection_lost_in_the_middle_gives_255(pyssh: Client, sshd: StartServer) -> None:
    server = sshd()
    pyssh.aim(server)
    with pyssh.start("box", "echo begun; sleep 1000") as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"begun\n"
        server.stop()
        _, err = client.communicate(timeout=PATIENCE)
    assert client.returncode == 255
    assert len(err.splitlines()) == 1
    assert b"Traceback" not in err
