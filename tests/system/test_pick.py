"""`--pick`: a host is chosen on the terminal, by its keys, and connected to; nothing of it is left there."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenScreen, OpenTerminal
from tests.system.servers import PASSPHRASE, Server
from tests.system.terminals import JOB, Screen
from tests.system.test_asking import state_of
from tests.system.waiting import wait_until

pytestmark = pytest.mark.beyond_ssh


@pytest.fixture
def recent(pyssh: Client) -> Path:
    """The file of what was picked."""
    return pyssh.home / ".local" / "state" / "pyssh" / "recent"


def add_hosts(pyssh: Client, *blocks: str) -> None:
    """Put blocks of configuration before what `aim` has written."""
    pyssh.config.write_text("".join(f"{block}\n" for block in blocks) + pyssh.config.read_text())


def test_a_host_is_chosen_by_typing_and_connected_to(
    pyssh: Client, openssh: Server, screen: OpenScreen, recent: Path
) -> None:
    pyssh.aim(openssh)
    add_hosts(pyssh, "Host web-one web-two", "    HostName 192.0.2.1")
    window = screen("-t", "--pick", "--", "we", "echo marked; tty; exec cat")
    window.wait_for("2/4 > we")
    window.type("C-u", "bx")  # letters of "box" in their order
    window.wait_for("1/4 > bx")
    window.type("Enter")
    marked, where = window.wait_for("/dev/pts/").split()
    assert (marked, where[:9]) == ("marked", "/dev/pts/")
    assert recent.read_text() == "box\n"
    assert stat.S_IMODE(recent.stat().st_mode) == 0o600
    assert stat.S_IMODE(recent.parent.stat().st_mode) == 0o700
    assert os.listdir(recent.parent) == ["recent"]


def test_what_was_chosen_is_first_the_next_time_and_the_screen_is_clean(
    pyssh: Client, openssh: Server, screen: OpenScreen, recent: Path
) -> None:
    pyssh.aim(openssh)
    add_hosts(pyssh, "Host aaa", "Host bbb")
    recent.parent.mkdir(parents=True)
    recent.write_text("box\nno-such-host\n\x1b[31mbad\n")
    window = screen("--pick", "", "echo ready; exec cat")
    shown = window.wait_for("port").splitlines()
    # Those that were picked, then the files in their order; what is in no file any more is not there.
    assert [line.strip() for line in shown[:4]] == [shown[0].strip(), "> box", "aaa", "bbb"]
    assert f"{openssh.user}@127.0.0.1 port {openssh.port}" in shown[5]
    window.type("Enter")
    assert window.wait_for("ready").split() == ["ready"]


@pytest.mark.parametrize(
    ("chosen", "behind"),
    [
        (b"bx\r", b"ls -l\r"),
        (b"\x15zz\r\x15box\r", "h\u00e4ll\u00f6 \u20ac\r".encode()),  # the first Enter chooses nothing
        (b"\x1b[B\x1b[A\x1bOB\x1b[Z\r", b"\x1b[A\x1b[5~\r"),
        (b"\n", b"\xff\x00\x1b\r"),
    ],
    ids=["letters", "utf-8", "escape sequences", "bytes"],
)
def test_what_is_typed_behind_enter_is_for_the_session(
    chosen: bytes, behind: bytes, pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh)
    session = terminal("-tt", "--pick", "", "stty raw -echo; echo ready; head -c 40 | od -An -tx1")
    session.expect("127.0.0.1 port")
    wait_until(session.is_raw, "the keys to come one by one")
    session.send(chosen + behind)
    session.expect("ready")
    session.send(b"." * 40)
    # As what is typed ahead of a raw terminal: Enter has become a newline.
    wanted = (behind.replace(b"\r", b"\n") + b"." * 40)[:40]
    session.expect(r"\s+".join(f"{byte:02x}" for byte in wanted))
    assert session.wait() == 0


def test_what_is_typed_behind_enter_answers_a_question(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, keys=[pyssh.keys.variant("ed25519", "pick-locked", passphrase=PASSPHRASE)])
    session = terminal("-tt", "--pick", "", "read line; echo got $line")
    session.expect("127.0.0.1 port")
    wait_until(session.is_raw, "the keys to come one by one")
    session.send(b"box\r" + PASSPHRASE.encode() + b"\rmore\r")
    session.expect("got more")
    assert session.wait() == 0


def test_a_paste_with_an_end_of_line_is_one_line(pyssh: Client, screen: OpenScreen) -> None:
    pyssh.aim_at_port(1)
    add_hosts(pyssh, "Host web")
    window = screen("--pick")
    window.wait_for("port 22")
    window.type("\x1b[200~\tbo\r\n\x1b[201~")
    window.wait_for("1/2 > bo\n> box\n")
    window.type("x", "Enter")
    window.wait_for("the SSH server runs")  # the end of the line that box cannot be connected to


@pytest.mark.parametrize("keys", ["\x1b", "\x04"], ids=["escape", "ctrl-d"])
def test_leaving_without_a_choice(keys: str, pyssh: Client, terminal: OpenTerminal, recent: Path) -> None:
    pyssh.aim_at_port(1)
    session = terminal("--pick", "bo")
    before = session.modes()
    session.expect("> bo.*127.0.0.1 port 1")
    if keys == "\x04":
        session.send("\x15")
    session.send(keys)
    assert session.wait() == 255
    assert session.modes() == before
    assert not recent.exists()


def test_nothing_is_left_on_the_screen(pyssh: Client) -> None:
    pyssh.aim_at_port(1)
    line = 'echo before; "$@"; echo "status $?"; exec cat'
    with contextlib.closing(Screen(["sh", "-c", line, "sh", *pyssh.argv, "--pick"], pyssh.environment)) as window:
        window.wait_for("127.0.0.1 port 1")
        window.type("Escape")
        assert window.wait_for("status 255").split() == ["before", "status", "255"]


def test_ctrl_c_and_a_signal_end_the_process_with_the_terminal_as_it_was(
    pyssh: Client, terminal: OpenTerminal
) -> None:
    pyssh.aim_at_port(1)
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        session = terminal("--pick")
        before = session.modes()
        session.expect("127.0.0.1 port 1")
        wait_until(session.is_raw, "the keys to come one by one")
        if end == signal.SIGINT:
            session.send("\x03")
        else:
            session.kill(end)
        assert session.wait() == -end
        assert session.modes() == before


def test_stopped_and_continued(pyssh: Client, terminal: OpenTerminal) -> None:
    pyssh.aim_at_port(1)
    session = terminal(argv=[sys.executable, "-c", JOB, *pyssh.argv, "--pick"])
    job = int(session.expect(r"job (\d+)")[1])
    before = session.modes()
    for by_key in (False, True):
        session.expect("127.0.0.1 port 1")
        wait_until(session.is_raw, "the keys to come one by one")
        if by_key:
            session.send("\x1a")
        else:
            os.kill(job, signal.SIGTSTP)
        wait_until(lambda: state_of(job) == "T", "the stop")
        assert session.modes() == before
        os.kill(job, signal.SIGCONT)
    session.expect("127.0.0.1 port 1")
    wait_until(session.is_raw, "the keys to come one by one")
    session.send("\x1b")
    assert session.wait() == 255
    assert session.modes() == before


@pytest.mark.parametrize(("keys", "chosen"), [
    (["Down", "Down", "Up"], "two"),
    (["C-n", "C-n", "C-p"], "two"),
    (["Tab", "Tab", "Tab", "BTab"], "three"),
    (["Up"], "one"),
    (["NPage", "NPage"], "box"),
])  # fmt: skip
def test_keys(keys: list[str], chosen: str, pyssh: Client, screen: OpenScreen) -> None:
    pyssh.aim_at_port(1)
    add_hosts(pyssh, "Host one two three four")
    window = screen("--pick")
    window.wait_for("port 22")
    window.type(*keys)
    assert window.wait_for(f"> {chosen}\n").count("\n>") == 1


def test_a_tiny_terminal_and_other_sizes(pyssh: Client, screen: OpenScreen) -> None:
    pyssh.aim_at_port(1)
    names = [f"machine-{number:03}.a-rather-long-domain.example.com" for number in range(200)]
    add_hosts(pyssh, f"Host {' '.join(names)}")
    window = screen("--pick", "machine", rows=5, columns=20)
    shown = window.wait_for("@machine").splitlines()
    assert [line[:12] for line in shown] == [
        "200/201 > ma",
        "> machine-00",
        "  machine-00",
        "  machine-00",
        shown[4][:12],
    ]
    assert "@machine" in shown[4]

    def expect(rows: int, columns: int, chosen: int) -> None:
        """The whole screen looks as it should, whatever a key that came in the middle of it has drawn."""
        found = [f"{'> ' if n == chosen else '  '}{names[n]}"[: columns - 1] for n in range(10)]
        wanted = ["200/201 > machine", *found]
        wait_until(lambda: window.text().splitlines()[:11] == wanted, f"{rows} by {columns}")
        shown = window.text().splitlines()
        assert f"@{names[chosen]} port 22"[:10] in shown[11]
        assert not "".join(shown[12:])

    window.resize(24, 80)
    expect(24, 80, 0)
    window.resize(12, 34)
    window.type("Down")
    expect(12, 34, 1)
    window.resize(30, 60)
    expect(30, 60, 1)
    for rows in (2, 1):
        window.resize(rows, 20)
        window.wait_for("200/201 > ma")
    window.type("Escape")


def test_what_is_shown_of_a_host(pyssh: Client, screen: OpenScreen) -> None:
    pyssh.aim_at_port(1)
    ran = pyssh.home / "ran"
    add_hosts(
        pyssh,
        "Host inner",
        "    HostName 10.0.0.7",
        "    User me",
        "    ProxyJump bastion,second:2200",
        "Host commanded",
        "    ProxyCommand nc %h %p",
        f'Match originalhost commanded exec "touch {ran}"',
        "    Port 99",
    )
    window = screen("-p", "2222", "--pick", "inner")
    window.wait_for("me@10.0.0.7 port 2222 via bastion, second:2200")
    window.type("C-u")
    window.type("comm")
    assert "port 2222 by a ProxyCommand (Match exec not asked)" in window.wait_for("ProxyCommand")
    assert not ran.exists()


def test_known_hosts_with_their_ports_and_included_files(
    pyssh: Client, openssh: Server, screen: OpenScreen, recent: Path
) -> None:
    pyssh.aim(openssh)
    (pyssh.home / "more").write_text("Host included\n")
    add_hosts(pyssh, f"Include {pyssh.home}/mo*")
    pyssh.known_hosts.write_text(
        pyssh.known_hosts.read_text() + "evil;touch${IFS}x ssh-ed25519 AAAA\n-oProxyCommand=x ssh-ed25519 AAAA\n"
        "red\x1b[31m ssh-ed25519 AAAA\n|1|c2FsdA==|aGFzaA== ssh-ed25519 AAAA\n"
    )
    window = screen(
        "-l", openssh.user, "-i", str(pyssh.keys.path("ed25519")), "--pick", "", "echo marked; exec cat"
    )
    shown = window.wait_for("port 22")
    # What could drive a shell or a terminal is not among them.
    assert [line.strip() for line in shown.splitlines()[:4]] == [
        "3/3 >", "> included", "box", f"127.0.0.1:{openssh.port}",
    ]  # fmt: skip
    window.type("127")
    window.wait_for("1/3 > 127")
    window.type("Enter")
    assert window.wait_for("marked").split() == ["marked"]
    assert recent.read_text() == f"127.0.0.1:{openssh.port}\n"


def test_without_a_terminal_or_without_hosts(pyssh: Client, terminal: OpenTerminal) -> None:
    pyssh.aim_at_port(1)
    done = pyssh.run("--pick", "box")
    assert (done.returncode, done.stdout) == (255, b"")
    assert done.stderr == b"pyssh: --pick needs a terminal to choose on\n"
    pyssh.config.write_text("Host *\n    GlobalKnownHostsFile /dev/null\n    UserKnownHostsFile /dev/null\n")
    session = terminal("--pick")
    session.expect("there is no host to choose from")
    assert session.wait() == 255
    pyssh.config.write_text("Nonsense yes\n")
    session = terminal("--pick")
    session.expect("Bad configuration option: nonsense.*terminating, 1 bad configuration options")
    assert session.wait() == 255
    pyssh.environment["TERM"] = "dumb"
    pyssh.aim_at_port(1)
    session = terminal("--pick")
    session.expect("needs a terminal that can move its cursor")
    assert session.wait() == 255


def test_stdin_and_stdout_may_be_elsewhere(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    out = pyssh.home / "out"
    line = f'echo sent | "$@" --pick box cat >{out}; echo "status $?"'
    session = terminal(argv=["sh", "-c", line, "sh", *pyssh.argv])
    session.expect("127.0.0.1 port")
    session.send("\r")
    session.expect("status 0")
    assert out.read_text() == "sent\n"
