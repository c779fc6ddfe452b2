"""Questions on a real terminal, answered by a person's keys and by the programs that stand in for a person."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.terminals import Screen, Terminal
from tests.system.waiting import wait_until

PROMPT = "ann@example's password: "
RUN = Callable[..., Terminal]

SETUP = """
import os, signal, sys, termios
from pyssh_cli.log import DEBUG1, Log
from pyssh_cli.terminal.questions import Questions
questions = Questions(Log(DEBUG1), batch_mode=False)
def tell(answer):
    os.write(1, ("[" + ascii(answer) + "]").encode())
"""


def environment(**extra: str) -> dict[str, str]:
    """A small environment in which pyssh is importable and no askpass is wanted."""
    root = str(Path(__file__).parents[2])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": root, "TERM": "xterm", "LANG": "C.UTF-8", **extra}


@pytest.fixture
def run() -> Iterator[RUN]:
    """Starts a Python program after `SETUP` on a new terminal."""
    started: list[Terminal] = []

    def start(program: str, **extra: str) -> Terminal:
        started.append(Terminal([sys.executable, "-c", SETUP + program], environment(**extra)))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def hidden(terminal: Terminal) -> None:
    """Wait until the password prompt is there; echo must be off by then."""
    terminal.expect("ann@example's password: ")
    assert not terminal.echoes()


@pytest.mark.parametrize("end", ["\n", "\r"])
@pytest.mark.parametrize("kind", ["xterm", "dumb", ""])
def test_a_secret_is_asked_as_ssh_does(run: RUN, end: str, kind: str) -> None:
    terminal = run(f"tell(questions.ask_secret({PROMPT!r}))", TERM=kind)
    before = terminal.modes()
    hidden(terminal)
    terminal.send("s3cret" + end)
    assert terminal.wait() == 0
    assert terminal.seen == b"\r" + PROMPT.encode() + b"\r\n['s3cret']"
    assert terminal.modes() == before


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ("pässwörd €\n".encode(), "pässwörd €"),
        (b"caf\xe9\n", "caf\udce9"),
        (b"x" * 1000 + b"\n", "x" * 1000),
        (b"  blanks stay  \n", "  blanks stay  "),
        (b"wrong\x15right\n", "right"),
        (b"rightt\x7f\n", "right"),
        (b"\n", ""),
        (b"\x04", None),
        (b"ab\x04cd\x04\x04", "abcd"),
    ],
)
def test_what_is_typed_is_the_answer(run: RUN, keys: bytes, answer: str | None) -> None:
    terminal = run(f"tell(questions.ask_secret({PROMPT!r}))")
    before = terminal.modes()
    hidden(terminal)
    terminal.send(keys)
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"password: \r\n[" + ascii(answer).encode() + b"]")
    assert terminal.modes() == before


def test_type_ahead_and_a_paste_of_two_answers(run: RUN) -> None:
    program = "os.write(1, b'ready'); os.read(0, 1)\n"
    terminal = run(
        program + "tell(questions.ask_secret('one: ')); tell(questions.ask_secret('two: '));"
        "tell(questions.ask_line('three: '))"
    )
    terminal.expect("ready")
    terminal.send("\nfirst\nsecond\nthird\n")  # the program starts to ask when it has read the first newline
    assert terminal.wait() == 0
    assert b"one: \r\n['first']" in terminal.seen
    assert b"two: \r\n['second']" in terminal.seen
    assert terminal.seen.endswith(b"['third']")


def test_trust_is_not_given_ahead(run: RUN) -> None:
    terminal = run(
        "os.write(1, b'ready'); os.read(0, 1)\ntell(questions.confirm_host_key('New key.', 'SHA256:abc'))"
    )
    terminal.expect("ready")
    terminal.send("\nyes\n")
    terminal.expect(r"New key\.\r\nAre you sure .*\(yes/no/\[fingerprint\]\)\? ")
    terminal.send("perhaps\r")
    terminal.expect("Please type 'yes', 'no' or the fingerprint: ")
    terminal.send("SHA256:abc\r")
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"fingerprint: SHA256:abc\r\n[True]")


def test_a_servers_prompt_cannot_drive_the_terminal(run: RUN) -> None:
    terminal = run(r"tell(questions.ask_line('\x1b[2J\x9b5n two\r\nlines: '))")
    terminal.expect("lines: ")
    terminal.send("ok\n")
    assert terminal.wait() == 0
    assert terminal.seen == b"\r\\033[2J\\2335n two\r\nlines: ok\r\n['ok']"


def test_asked_on_the_terminal_while_all_else_is_redirected(run: RUN, tmp_path: Path) -> None:
    program = SETUP + f"tell(questions.ask_secret({PROMPT!r}))"
    out = tmp_path / "out"
    command = f"{shlex.join([sys.executable, '-c', program])} </dev/null >{out} 2>&1"
    terminal = run(f"os.execv('/bin/sh', ['sh', '-c', {command!r}])")
    hidden(terminal)
    terminal.send("s3cret\n")
    assert terminal.wait() == 0
    assert out.read_text() == "['s3cret']"


def test_asked_while_the_terminal_is_raw(run: RUN) -> None:
    terminal = run(
        "from pyssh_cli.terminal.raw import RawMode\n"
        f"raw = RawMode(0, Log()); raw.enter(); tell(questions.ask_secret({PROMPT!r}))\n"
        "tell(termios.tcgetattr(0)[3] & termios.ICANON); raw.leave()"
    )
    before = terminal.modes()
    hidden(terminal)
    terminal.send("typo\x15s3cret\r")
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"password: \r\n['s3cret'][0]")
    assert terminal.modes() == before


def test_ctrl_c_is_a_keyboard_interrupt(run: RUN) -> None:
    terminal = run(
        f"try: questions.ask_secret({PROMPT!r})\nexcept KeyboardInterrupt: tell('interrupted')\n"
        "tell(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    before = terminal.modes()
    hidden(terminal)
    terminal.send("half\x03")
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"password: \r\n['interrupted'][True]")
    assert terminal.modes() == before


def test_ctrl_c_reaches_a_handler_that_does_not_raise(run: RUN) -> None:
    terminal = run(
        "signal.signal(signal.SIGINT, lambda *_: tell('handled'))\n"
        f"try: questions.ask_secret({PROMPT!r})\nexcept KeyboardInterrupt: tell('interrupted')"
    )
    hidden(terminal)
    terminal.send("\x03")
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"\r\n['handled']['interrupted']")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_deadly_signal_kills_after_the_terminal_is_restored(run: RUN, number: signal.Signals) -> None:
    terminal = run(
        f"import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nquestions.ask_secret({PROMPT!r})"
    )
    before = terminal.modes()
    hidden(terminal)
    terminal.kill(number)
    assert terminal.wait() == -number
    assert terminal.modes() == before


def test_a_survived_signal_is_no_answer(run: RUN) -> None:
    terminal = run(
        f"signal.signal(signal.SIGTERM, lambda *_: tell('handled'))\ntell(questions.ask_secret({PROMPT!r}))"
    )
    before = terminal.modes()
    hidden(terminal)
    terminal.kill(signal.SIGTERM)
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"['handled'][None]")
    assert terminal.modes() == before


def test_after_a_stop_from_outside_echo_is_off_again(run: RUN) -> None:
    terminal = run(f"tell(questions.ask_secret({PROMPT!r}))")
    before = terminal.modes()
    hidden(terminal)
    terminal.set_modes(before)  # as a shell does with the terminal of a job that was stopped
    terminal.kill(signal.SIGCONT)
    hidden(terminal)
    terminal.send("s3cret\n")
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"password: \r\n['s3cret']")
    assert terminal.modes() == before


def test_other_signals_go_their_way(run: RUN) -> None:
    terminal = run(
        "r, w = os.pipe(); os.set_blocking(w, False); signal.set_wakeup_fd(w)\n"
        "signal.signal(signal.SIGWINCH, lambda *_: os.write(2, b'<resized>'))\n"
        f"tell(questions.ask_secret({PROMPT!r})); tell(os.read(r, 9)); tell(signal.set_wakeup_fd(-1) == w)"
    )
    hidden(terminal)
    terminal.resize(30, 100)
    terminal.expect("<resized>")
    terminal.send("s3cret\n")
    assert terminal.wait() == 0
    winch = ascii(bytes([signal.SIGWINCH])).encode()
    assert terminal.seen.endswith(b"['s3cret'][" + winch + b"][True]")


def test_an_exception_restores_the_terminal(run: RUN) -> None:
    terminal = run(
        "class Alarm(Exception): pass\n"
        "def ring(*_): raise Alarm\n"
        "signal.signal(signal.SIGUSR1, ring)\n"
        f"try: questions.ask_secret({PROMPT!r})\nexcept Alarm: tell('raised')"
    )
    before = terminal.modes()
    hidden(terminal)
    terminal.kill(signal.SIGUSR1)
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"['raised']")
    assert terminal.modes() == before


def test_raw_mode_survives_sigterm_handled_in_the_background(run: RUN) -> None:
    """The restore must not stop a process that another group has taken the terminal from."""
    terminal = run(
        "from pyssh_cli.terminal.raw import RawMode\n"
        "raw = RawMode(0, Log()); raw.enter()\n"
        "child = os.fork()\n"
        "if child == 0:\n    os.setpgid(0, 0); signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
        "    os.tcsetpgrp(0, os.getpid()); tell('taken'); signal.pause()\n"
        "while os.tcgetpgrp(0) != child: pass\n"
        "raw.leave(); tell(termios.tcgetattr(0)[3] & termios.ECHO != 0); os.kill(child, 9); os.wait()"
    )
    before = terminal.modes()
    assert terminal.wait() == 0
    terminal.expect(r"\[True\]")
    assert terminal.modes() == before


def test_a_terminal_taken_over_in_the_background_is_left_alone(run: RUN) -> None:
    terminal = run(
        "from pyssh_cli.terminal.raw import RawMode\n"
        "raw = RawMode(0, Log()); raw.enter()\n"
        "child = os.fork()\n"
        "if child == 0:\n    os.setpgid(0, 0); signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
        "    modes = termios.tcgetattr(0); modes[3] |= termios.ISIG; termios.tcsetattr(0, 0, modes)\n"
        "    os.tcsetpgrp(0, os.getpid()); signal.pause()\n"
        "while os.tcgetpgrp(0) != child: pass\n"
        "raw.leave(); tell(termios.tcgetattr(0)[3] & (termios.ECHO | termios.ISIG) == termios.ISIG)\n"
        "os.kill(child, 9); os.wait()"
    )
    assert terminal.wait() == 0
    terminal.expect(r"\[True\]")


# Job control needs a shell that continues what was stopped, and a screen to see what a person sees.


@pytest.fixture
def shell() -> Iterator[Screen]:
    """An interactive bash in tmux."""
    screen = Screen(["bash", "--norc", "--noprofile", "-i"], environment(PS1="$ ", TERM="screen"))
    yield screen
    screen.close()


def ask_in(directory: Path, program: str) -> str:
    """A command line that runs `program` after `SETUP`."""
    path = directory / "ask.py"
    path.write_text(SETUP + program)
    return f"{sys.executable} {path}"


def test_the_screen_shows_the_prompt_and_nothing_of_the_secret(shell: Screen, tmp_path: Path) -> None:
    shell.wait_for("$")
    shell.type(f"clear; {ask_in(tmp_path, f'tell(len(questions.ask_secret({PROMPT!r})))')}", "Enter")
    shell.wait_for(PROMPT.rstrip())
    shell.type("s3cret", "Enter")
    shown = shell.wait_for("[6]$")
    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    assert lines == [PROMPT.rstrip(), "[6]$"]


def test_ctrl_z_stops_with_the_terminal_restored_and_fg_asks_again(shell: Screen, tmp_path: Path) -> None:
    shell.wait_for("$")
    shell.type(ask_in(tmp_path, f"tell(questions.ask_secret({PROMPT!r}))"), "Enter")
    shell.wait_for(PROMPT.rstrip())
    shell.type("C-z")
    shell.wait_for("Stopped")
    shell.type("stty -a | grep -o ' echo '; echo then-$((1+1))", "Enter")
    shown = shell.wait_for("then-2")
    assert "\n echo" in shown
    shell.type("clear; fg", "Enter")
    wait_until(lambda: "Stopped" not in shell.text() and PROMPT.rstrip() in shell.text(), "the question again")
    shell.type("s3cret", "Enter")
    shown = shell.wait_for("['s3cret']")
    assert shown.count("s3cret") == 1


def test_asked_from_the_background_it_waits_for_fg(shell: Screen, tmp_path: Path) -> None:
    command = ask_in(
        tmp_path,
        f"tell(questions.ask_secret({PROMPT!r})); tell(termios.tcgetattr(0)[3] & termios.ICANON != 0)",
    )
    shell.wait_for("$")
    shell.type(f"{command} &", "Enter")

    def stopped() -> bool:
        shell.type("jobs", "Enter")
        return "Stopped" in shell.text()

    wait_until(stopped, "the job stopped")
    assert PROMPT not in shell.text()
    shell.type("clear; fg", "Enter")
    shell.wait_for(PROMPT.rstrip())
    shell.type("s3cret", "Enter")
    shell.wait_for("['s3cret'][True]")


def test_suspend_leaves_raw_mode_and_comes_back_to_it(shell: Screen, tmp_path: Path) -> None:
    command = ask_in(
        tmp_path,
        "from pyssh_cli.terminal.raw import RawMode\nfrom pyssh_cli.terminal.signals import suspend\n"
        "with RawMode(0, Log()) as raw:\n"
        "    suspend(raw); tell([raw.active, termios.tcgetattr(0)[3] & termios.ICANON])\n",
    )
    shell.wait_for("$")
    shell.type(command, "Enter")
    shell.wait_for("Stopped")
    shell.type("clear; stty -a | grep -o ' icanon '; fg", "Enter")
    shown = shell.wait_for("[[True, 0]]")
    assert "icanon" in shown


# Programs that answer for a person.


def needs(program: str) -> str:
    """The program's path; scripts/test installs it."""
    path = shutil.which(program)
    assert path is not None, f"{program} is not installed"
    return path


def test_sshpass_answers_the_password_prompt() -> None:
    program = SETUP + f"tell(questions.ask_secret({PROMPT!r}))"
    done = subprocess.run(
        [needs("sshpass"), "-p", "s3cret", sys.executable, "-c", program],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"['s3cret']")


def test_sshpass_sees_a_second_prompt_as_a_wrong_password() -> None:
    program = SETUP + f"questions.ask_secret({PROMPT!r}); questions.ask_secret({PROMPT!r})"
    done = subprocess.run(
        [needs("sshpass"), "-p", "wrong", sys.executable, "-c", program],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5


def test_the_usual_expect_script_works_as_it_stands(tmp_path: Path) -> None:
    """It answers whatever question it sees, in a loop: a question drawn twice would be answered twice."""
    (tmp_path / "ask.py").write_text(
        SETUP
        + f"tell(questions.confirm_host_key('New key.', 'SHA256:abc')); tell(questions.ask_secret({PROMPT!r}))"
    )
    script = tmp_path / "login.exp"
    script.write_text(
        f"set timeout 60\nspawn {sys.executable} {tmp_path}/ask.py\n"
        "expect {\n"
        '  "*(yes/no*" { send "yes\\r"; exp_continue }\n'
        '  "*?assword:*" { send "s3cret\\r"; exp_continue }\n'
        "  timeout { exit 9 }\n"
        "  eof\n}\n"
    )
    done = subprocess.run(
        [needs("expect"), str(script)], env=environment(), capture_output=True, timeout=90, check=False
    )
    assert done.returncode == 0
    assert done.stdout.count(b"Are you sure") == 1
    assert done.stdout.endswith(b"(yes/no/[fingerprint])? yes\r\n[True]\r" + PROMPT.encode() + b"\r\n['s3cret']")


def test_a_line_is_echoed_and_a_terminal_needs_no_size(run: RUN) -> None:
    terminal = run(f"tell(questions.ask_line({PROMPT!r}))")
    terminal.resize(0, 0)
    terminal.expect("password: ")
    assert terminal.modes()[3] & termios.ECHO
    terminal.send("shown\r")
    assert terminal.wait() == 0
    assert terminal.seen.endswith(b"password: shown\r\n['shown']")
