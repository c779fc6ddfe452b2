"""Configuration files that are wrong, unsafe or slow: what the person is told, and that nothing else happens."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.system.clients import STAND_IN, Client
from tests.system.waiting import PATIENCE, wait_until
from tests.unit.hinted import bare

only_root = pytest.mark.skipif(os.getuid() != 0, reason="gives files away")
ours = pytest.mark.skipif(bool(STAND_IN), reason="newer than the ssh that stands in")


@pytest.fixture
def client(pyssh: Client) -> Client:
    pyssh.environment["SHELL"] = "/bin/sh"
    return pyssh


def settled(client: Client, text: str | bytes, *words: str) -> dict[str, str]:
    """What -G prints with this configuration file."""
    done = run(client, text, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    return {keyword: value for keyword, _, value in (line.partition(" ") for line in lines)}


def run(client: Client, text: str | bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """-G with this configuration file."""
    client.config.write_bytes(text.encode() if isinstance(text, str) else text)
    return client.run("-G", *words, "host")


def refused(client: Client, text: str | bytes, *words: str) -> list[str]:
    """The lines that a bad configuration file is told; nothing is printed, and 255 is the status."""
    done = run(client, text, *words)
    assert (done.returncode, done.stdout) == (255, b"")
    told = done.stderr.decode().replace(f"{client.config}", "F").replace("\r", "")
    assert "Traceback" not in told
    return [bare(line) for line in told.splitlines() if not line.startswith("Pseudo-terminal")]


def test_every_bad_line_is_told_with_its_number(client: Client) -> None:
    text = (
        'Foo 1\nHost other\nPort x\nBatchMode maybe\nUser "a\nPort 1 2\nMatch bogus x\nMatch host\nMatch all x\n'
    )
    assert refused(client, text) == [
        "F: line 1: Bad configuration option: foo",
        "F line 3: Bad port 'x'.",
        'F line 4: unsupported option "maybe".',
        "F line 5: invalid quotes",
        "F line 6: keyword port extra arguments at end of line",
        "Unsupported Match attribute bogus",
        "F line 7: Bad Match condition",
        "Missing Match criteria for host",
        "F line 8: Bad Match condition",
        "F line 9: 'all' cannot be combined with other Match attributes",
        "F line 9: Bad Match condition",
        "F: terminating, 8 bad configuration options",
    ]


@pytest.mark.parametrize(
    "content",
    [b"\x7fELF\x02\x01\x01\0\0\n\xff\xfe", bytes(range(256)) * 40, b"\xff\xfeU\0s\0e\0r\0", b"<html>\n</html>\n"],
)
def test_what_is_no_configuration_is_refused(client: Client, content: bytes) -> None:
    told = refused(client, content)
    assert told[-1].startswith("F: terminating, ")
    assert all(line.startswith("F") for line in told)
    assert all(line.isascii() and line.isprintable() for line in told)


def test_a_file_that_is_not_there(client: Client) -> None:
    done = subprocess.run(
        [*client.argv[:-1], f"{client.home}/none", "-G", "host"],
        env=client.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 255
    wanted = f"Can't open user config file {client.home}/none: No such file or directory"
    assert done.stderr.decode().split("\r")[0].strip() == wanted


@pytest.mark.parametrize("mode", [0o602, 0o666, 0o777])
def test_included_files_that_others_may_write_are_refused(client: Client, mode: int) -> None:
    included = client.home / "included"
    included.write_text("Port 5\n")
    included.chmod(mode)
    assert refused(client, f"Include {included}\n") == [f"Bad owner or permissions on {included}"]


@only_root
def test_included_files_of_others_are_refused(client: Client) -> None:
    included = client.home / "included"
    included.write_text("Port 5\n")
    os.chown(included, 12345, 12345)
    assert refused(client, f"Include {included}\n") == [f"Bad owner or permissions on {included}"]


def test_the_file_of_f_may_be_anybody_s(client: Client) -> None:
    client.config.touch()
    client.config.chmod(0o666)
    assert settled(client, "Port 5\n")["port"] == "5"


def test_a_file_that_includes_itself(client: Client) -> None:
    included = client.home / "included"
    included.write_text(f"Include {included}\n")
    assert refused(client, f"Include {included}\n") == ["Too many recursive configuration includes"]


def test_mistakes_in_included_files_name_that_file(client: Client) -> None:
    included = client.home / "included"
    included.write_text("\nFoo 1\n")
    assert refused(client, f"Host other\nInclude {included}\n") == [
        f"{included}: line 2: Bad configuration option: foo",
        f"{included}: terminating, 1 bad configuration options",
    ]


# --- Match exec ---


def test_exec_sees_nothing_of_ours(client: Client) -> None:
    text = 'Match exec "cat; echo of-the-command; echo err >&2"\nPort 5\n'
    done = run(client, text)
    assert b"\nport 5\n" in done.stdout
    assert b"of-the-command" not in done.stdout
    assert done.stderr.splitlines()[0] == b"err"


@pytest.mark.parametrize("command", ["kill -9 $$", "kill -15 $$"])
def test_a_command_that_dies_is_an_error(client: Client, command: str) -> None:
    assert refused(client, f'Match exec "{command}"\n') == [
        f"command '{command}' exited abnormally",
        f"F line 1: match exec '{command}' error",
    ]


def test_a_shell_that_is_not_there(client: Client) -> None:
    client.environment["SHELL"] = "/nonexistent"
    told = refused(client, "Match exec true\n")
    assert [line.removeprefix("F line 1: ") for line in told] == [
        'Shell "/nonexistent" is not executable: No such file or directory'
    ]


def test_ctrl_c_ends_a_command_that_hangs(client: Client, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    client.config.write_text(f'Match exec "echo $$ >{mark}; exec sleep 1000"\nPort 5\n')
    with client.start("-G", "host") as process:
        wait_until(lambda: mark.exists() and mark.read_text().endswith("\n"), "the command")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == -signal.SIGINT
        assert process.communicate()[0] == b""
    command = int(mark.read_text())

    def is_gone() -> bool:
        try:
            os.kill(command, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{command}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"

    assert wait_until(is_gone, "the end of the command")


@ours
def test_tokens_and_variables_name_the_place(client: Client) -> None:
    client.environment.pop("PYSSH_NONE", None)
    assert refused(client, "\nHostname %n\n") == ['F:2: Hostname: unknown key %n in "%n"']
    assert refused(client, "Match exec %z\n") == ['F line 1: Match exec: unknown key %z in "%z"']
    assert refused(client, "UserKnownHostsFile /${PYSSH_NONE}\n") == [
        'F:1: UserKnownHostsFile: env var ${PYSSH_NONE} has no value, in "/${PYSSH_NONE}"'
    ]
    assert refused(client, "UserKnownHostsFile ~nobody-of-that-name/x\n") == [
        'F:1: UserKnownHostsFile: No such user nobody-of-that-name in "~nobody-of-that-name/x"'
    ]


@ours
@pytest.mark.parametrize(
    ("words", "kind"), [((), "shell"), (("-N",), "none"), (("-W", "a:1"), "none"), (("-s",), "subsystem")]
)
def test_session_types_of_the_command_line(client: Client, words: tuple[str, ...], kind: str) -> None:
    client.config.write_text(f"Match sessiontype {kind}\nConnectTimeout 77\n")
    done = client.run("-G", *words, "host", *(["sftp"] if kind == "subsystem" else []))
    assert b"\nconnecttimeout 77\n" in done.stdout, done.stderr


@ours
def test_tags_of_the_command_line(client: Client) -> None:
    text = 'Match tagged work\nPort 7\nMatch tagged ""\nPort 8\n'
    assert settled(client, text, "-P", "work")["port"] == "7"
    assert settled(client, text)["port"] == "8"


@ours
def test_networks_of_this_machine(client: Client) -> None:
    text = "Match localnetwork 127.0.0.0/8\nPort 7\nMatch localnetwork 203.0.113.0/24\nUser nobody-of-that-name\n"
    found = settled(client, text)
    assert found["port"] == "7"
    assert found["user"] != "nobody-of-that-name"
    assert refused(client, "Match localnetwork 127.0.0.1/8\n") == [
        'Inconsistent mask length for network "127.0.0.1/8"',
        "F line 1: Bad Match condition",
        "F: terminating, 1 bad configuration options",
    ]
