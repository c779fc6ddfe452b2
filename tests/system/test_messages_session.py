"""What goes wrong with the configuration, in a session, with what is forwarded, and at the end: ssh's line, and
behind it what may be done."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import Client, is_logged_in
from tests.system.conftest import OpenTerminal, StartServer
from tests.system.messages import as_ssh, change, says
from tests.system.relays import join
from tests.system.servers import IS_ROOT, FakeServer, Server, free_port
from tests.system.waiting import PATIENCE, wait_until

StartFake = Callable[[Callable[[socket.socket], None]], FakeServer]

pytestmark = pytest.mark.beyond_ssh
only_root = pytest.mark.skipif(not IS_ROOT, reason="mounts, or listens on a port of root's")


# Configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told", "hint"),
    [
        ("Hst box", "F: line 1: Bad configuration option: hst", "did you mean Host?"),
        ("IdentiyFile x", "F: line 1: Bad configuration option: identiyfile", "did you mean IdentityFile?"),
        ("Frobnicate yes", "F: line 1: Bad configuration option: frobnicate", ""),
        ("BatchMode perhaps", 'F line 1: unsupported option "perhaps".', "one of: yes, no"),
        ("LogLevel loud", "F line 1: unsupported log level 'loud'", "verbose"),
        ("ConnectTimeout 5x", "F line 1: invalid time value.", "1h30m"),
        (
            "Ciphers none-such",
            "F line 1: Bad SSH2 cipher spec 'none-such'.",
            "pyssh -Q ciphers lists what there is",
        ),
        ("Port many", "F line 1: Bad port 'many'.", ""),
        ("Port", 'F line 1: no argument after keyword "port"', ""),
    ],
)
def test_a_line_that_cannot_be_read(pyssh: Client, line: str, told: str, hint: str) -> None:
    pyssh.config.write_text(f"{line}\n")
    done = as_ssh(pyssh, "box", "true")
    told = told.replace("F", str(pyssh.config), 1)
    found = says(done, told, *([hint] if hint else []))
    assert bool(hint) == (found != told)
    says(done, f"{pyssh.config}: terminating, 1 bad configuration options")
    if hint.startswith("pyssh "):
        assert pyssh.run("-Q", hint.split()[2]).returncode == 0


def test_an_option_that_cannot_be_read(pyssh: Client) -> None:
    pyssh.config.touch()
    done = as_ssh(pyssh, "-o", "StrictHostKeyCheckin=no", "box", "true")
    says(done, "command-line: line 0: Bad configuration option: stricthostkeycheckin", "StrictHostKeyChecking?")


def test_a_file_that_includes_itself(pyssh: Client) -> None:
    included = pyssh.home / "included"
    included.write_text(f"\nInclude {included}\n")
    pyssh.config.write_text(f"Include {included}\n")
    done = as_ssh(pyssh, "box", "true")
    says(done, "Too many recursive configuration includes", f"{included} line 2 includes once more, in a circle")


@pytest.mark.parametrize("fault", ["mode", pytest.param("owner", marks=only_root)])
def test_a_file_that_others_may_write(pyssh: Client, fault: str) -> None:
    included = pyssh.home / "included"
    included.write_text("Port 5\n")
    if fault == "mode":
        included.chmod(0o666)
    else:
        os.chown(included, 12345, 12345)
    pyssh.config.write_text(f"Include {included}\nHost box\n")
    done = as_ssh(pyssh, "-G", "box")
    line = says(done, f"Bad owner or permissions on {included}", "chmod go-w" if fault == "mode" else "chown")
    command = line.rpartition(": ")[2].rstrip(")")
    subprocess.run(["sh", "-c", command], check=True)
    assert pyssh.run("-G", "box").returncode == 0


# Sessions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "words", "told", "hint"),
    [
        (
            ("MaxSessions 0",),
            ("box", "true"),
            "channel 0: open failed: connect failed: open failed",
            "MaxSessions",
        ),
        (
            (),
            ("-s", "box", "frob"),
            "subsystem request failed on channel 0",
            "the server starts no subsystem frob",
        ),
        (
            ("Subsystem sftp",),
            ("-s", "box", "sftp"),
            "subsystem request failed on channel 0",
            "scp -O does without",
        ),
        (("PermitTTY no",), ("-tt", "box", "true"), "PTY allocation request failed on channel 0", "PermitTTY"),
    ],
)
def test_what_the_server_refuses_a_session(
    pyssh: Client, sshd: StartServer, lines: tuple[str, ...], words: tuple[str, ...], told: str, hint: str
) -> None:
    if lines == ("Subsystem sftp",):
        server = sshd()
        change(server, "Subsystem sftp internal-sftp\n", "")
    else:
        server = sshd(*lines)
    pyssh.aim(server)
    says(as_ssh(pyssh, *words), told, hint)


def test_a_shell_without_a_terminal_goes_on(pyssh: Client, sshd: StartServer, terminal: OpenTerminal) -> None:
    pyssh.aim(sshd("PermitTTY no"))
    shown = terminal("box")
    shown.expect(r"PTY allocation request failed on channel 0 \([^)]*-T does without\)\r\n")
    shown.send("exit 7\n")
    assert shown.wait() == 7


@pytest.mark.parametrize("words", [("no-such-command",), ("-tt", "box2")])
def test_what_is_silent_with_ssh_is_silent_here(pyssh: Client, openssh: Server, words: tuple[str, ...]) -> None:
    pyssh.aim(openssh)
    if words == ("-tt", "box2"):  # a terminal that nobody there knows
        pyssh.environment["TERM"] = "no-such-terminal"
        done = as_ssh(pyssh, "-tt", "box", "true")
        assert done.stderr == b"Connection to 127.0.0.1 closed.\n"
        return
    done = as_ssh(pyssh, "box", *words)
    assert done.returncode == 127
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("-A",),
        ("-X",),
        ("-o", "PermitLocalCommand=yes", "-o", "LocalCommand=exit 3"),
        ("-o", "VerifyHostKeyDNS=no"),
    ],
)
def test_what_is_not_there_to_forward_is_no_matter(pyssh: Client, openssh: Server, words: tuple[str, ...]) -> None:
    pyssh.aim(openssh)
    pyssh.environment["SSH_AUTH_SOCK"] = f"{pyssh.home}/gone"
    done = as_ssh(pyssh, *words, "box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")


def test_a_command_of_the_configuration_that_cannot_run(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    words = ("-o", "PermitLocalCommand=yes", "-o", "LocalCommand=/nonexistent/x")
    done = as_ssh(pyssh, *words, "box", "echo in")
    assert done.stdout == b"in\n"
    assert b"/nonexistent/x" in done.stderr


# Full and read-only places ---------------------------------------------------------------------------------------


def test_a_full_stdout(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    with open("/dev/full", "wb") as full:
        done = pyssh.run("box", "echo much", stdout=full)
    says(done, "pyssh: write to stdout failed: No space left on device", "the disk is full")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few pages, mounted for the test."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.decode()}")
    yield place
    subprocess.run(["umount", place], check=True)


@only_root
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_hosts_that_cannot_be_remembered(pyssh: Client, openssh: Server, small: Path, how: str) -> None:
    pyssh.aim(openssh, trust=False)
    known = small / "known_hosts"
    if how == "full":
        with contextlib.suppress(OSError):
            (small / "rest").write_bytes(bytes(1 << 20))
        reason = "No space left on device"
    else:
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        reason = "Read-only file system"
    done = pyssh.run(
        "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=accept-new", "box", "echo in"
    )
    assert (done.returncode, done.stdout) == (0, b"in\n")
    line = f"Failed to add the host to the list of known hosts ({known}): {reason}"
    assert line in done.stderr.decode()


@only_root
def test_a_recording_that_finds_no_room(pyssh: Client, openssh: Server, small: Path) -> None:
    pyssh.aim(openssh)
    words = ("-tt", "-o", f"SessionRecord={small}/cast", "box", "head -c 100000 /dev/zero | tr '\\0' x")
    done = pyssh.run(*words)
    assert done.returncode == 0
    assert done.stdout.count(b"x") == 100000
    told = done.stderr.decode()
    assert "No space left on device" in told
    assert f"{small}/cast" in told


# Forwards --------------------------------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on, on both loopback addresses where there are two."""
    with contextlib.ExitStack() as held:
        one = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        port: int = one.getsockname()[1]
        with contextlib.suppress(OSError):
            held.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
        yield port


@pytest.mark.parametrize("flag", ["-L", "-D"])
def test_a_port_that_is_taken_here(pyssh: Client, openssh: Server, taken: int, flag: str) -> None:
    pyssh.aim(openssh)
    spec = f"127.0.0.1:{taken}" + (":127.0.0.1:1" if flag == "-L" else "")
    done = as_ssh(pyssh, flag, spec, "box", "true")
    says(done, f"bind [127.0.0.1]:{taken}: Address already in use", "another program listens there", status=0)
    says(done, "Could not request local forwarding.", status=0)
    done = as_ssh(pyssh, "-o", "ExitOnForwardFailure=yes", flag, spec, "box", "true")
    says(done, "Could not request local forwarding.")


def test_an_address_that_is_not_ours(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = as_ssh(pyssh, "-L", f"192.0.2.9:{free_port()}:127.0.0.1:1", "box", "true")
    assert b": Cannot assign requested address (this machine has no such address)\n" in done.stderr


@only_root
def test_a_port_of_roots(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    drop = ["setpriv", "--inh-caps=-net_bind_service", "--bounding-set=-net_bind_service"]
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv here")
    with pyssh.start("-4", "-L", "81:127.0.0.1:1", "box", "true", argv=drop) as process:
        out, err = process.communicate(timeout=PATIENCE)
    done = subprocess.CompletedProcess([], process.returncode, out, err)
    says(done, "bind [127.0.0.1]:81: Permission denied", "ports below 1024 are root's", status=0)


def test_a_path_that_is_taken(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    path = tmp_path / "s"
    path.touch()
    done = as_ssh(pyssh, "-L", f"{path}:127.0.0.1:1", "box", "true")
    line = f"unix_listener: cannot bind to path {path}: Address already in use"
    says(done, line, "StreamLocalBindUnlink", status=0)


@pytest.mark.parametrize(
    ("lines", "port", "hints"),
    [
        (("AllowTcpForwarding no",), 0, ("AllowTcpForwarding or PermitListen",)),
        (("AllowTcpForwarding no",), 8888, ("it may be taken", "AllowTcpForwarding")),
        (("PermitListen 1234",), 81, ("below 1024 are root's there", "PermitListen")),
    ],
)
def test_a_port_that_the_server_does_not_give(
    pyssh: Client, sshd: StartServer, lines: tuple[str, ...], port: int, hints: tuple[str, ...]
) -> None:
    pyssh.aim(sshd(*lines))
    done = as_ssh(pyssh, "-R", f"{port}:127.0.0.1:1", "box", "true")
    says(done, f"Warning: remote port forwarding failed for listen port {port}", *hints, status=0)
    done = as_ssh(pyssh, "-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:1", "box", "true")
    says(done, f"Error: remote port forwarding failed for listen port {port}", *hints)


@pytest.mark.parametrize(
    ("lines", "host", "told", "hint"),
    [
        ((), "127.0.0.1", "connect failed: Connection refused", "the server cannot connect to that"),
        ((), "no-such-host.invalid", "connect failed: ", "the server cannot connect to that"),
        (("AllowTcpForwarding no",), "127.0.0.1", "administratively prohibited: open failed", "does not allow it"),
        (("PermitOpen 192.0.2.1:1",), "127.0.0.1", "administratively prohibited: open failed", "PermitOpen"),
    ],
)
def test_a_target_that_the_server_does_not_reach(
    pyssh: Client, sshd: StartServer, lines: tuple[str, ...], host: str, told: str, hint: str
) -> None:
    pyssh.aim(sshd(*lines))
    port, closed = free_port(), free_port()
    with pyssh.start("-N", "-L", f"{port}:{host}:{closed}", "box") as process:
        assert process.stderr is not None
        wait_until(lambda: _gets_nothing(port), "the forward to listen")
        line = process.stderr.readline().decode()
    assert line.startswith("channel ")
    assert f": open failed: {told}" in line
    assert f" (port {port} for {host} port {closed}: " in line
    assert hint in line


def _gets_nothing(port: int) -> bool:
    """Whether somebody listens there, who hangs up."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except OSError:
        return False


def test_stdio_that_leads_nowhere(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    port = free_port()
    done = as_ssh(pyssh, "-W", f"127.0.0.1:{port}", "box")
    line = "channel 0: open failed: connect failed: Connection refused"
    says(done, line, f"stdin and stdout for 127.0.0.1 port {port}")
    says(done, "stdio forwarding failed")


def test_windows_that_the_server_does_not_let_through(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(sshd("X11Forwarding no"))
    pyssh.environment["DISPLAY"] = ":77"
    done = as_ssh(pyssh, "-Y", "-o", "XAuthLocation=/nonexistent/xauth", "box", "true")
    line = "Warning: No xauth data; using fake authentication data for X11 forwarding."
    says(done, line, "there is no /nonexistent/xauth here: install xauth", status=0)
    says(done, "X11 forwarding request failed on channel 0", "its X11Forwarding is off", status=0)


# The end ---------------------------------------------------------------------------------------------------------


def test_a_connection_that_is_reset(pyssh: Client, sshd: StartServer, fake_server: StartFake) -> None:
    server = sshd()

    def between(peer: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as far:
            join(peer, far)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    relay = fake_server(between)
    pyssh.aim(server, f"HostKeyAlias [127.0.0.1]:{server.port}", f"Port {relay.port}")
    with pyssh.start("-n", "box", "echo begun; sleep 1000") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        server.hang_up()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    # No hint: it was not silent for long.
    assert err == b"Read from remote host 127.0.0.1: Connection reset by peer\n"


def test_a_server_that_goes_down(pyssh: Client, sshd: StartServer) -> None:
    server = sshd()
    pyssh.aim(server)
    with pyssh.start("-N", "box") as process:
        wait_until(lambda: is_logged_in(process.pid), "the login")
        server.stop()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    assert err == b"Connection to 127.0.0.1 closed by remote host.\n"
