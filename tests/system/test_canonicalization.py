"""CanonicalizeHostname and its kin with real look-ups: pyssh and ssh ask the same server and come to the same.

Both run in a namespace of their own, where a server of the tests is the only resolver there is.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.system import dns_server
from tests.system.clients import PROGRAM
from tests.system.servers import IS_ROOT
from tests.system.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]

ZONE = """
web.example.com A 127.0.0.1
web.example.com AAAA ::1
web.example.org A 127.0.0.2
www.example.com CNAME web.example.com
hop.example.com CNAME www.example.com
caps.example.com CNAME Web.Example.COM
abroad.example.com CNAME web.example.org
lost.example.com CNAME nowhere.example.com
dash.example.com CNAME -oProxyCommand.example.com
-oProxyCommand.example.com A 127.0.0.3
under.example.com CNAME _srv.example.com
_srv.example.com A 127.0.0.3
deep.sub.example.com A 127.0.0.4
very.deep.sub.example.com A 127.0.0.4
four.example.com A 127.0.0.5
six.example.com AAAA ::1
broken.example.com SERVFAIL
broken.example.org A 127.0.0.6
empty.example.com NONE
empty.example.org A 127.0.0.7
mute.example.com SILENT
mute.example.org A 127.0.0.8
near.search.example A 127.0.0.9
alias.search.example CNAME web.example.com
top A 127.0.0.10
top.search.example A 127.0.0.11
"""

RESOLVER = "search search.example\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
SERVICES = "passwd: files\ngroup: files\nhosts: dns\n"

UNSHARE = ["unshare", "--net", "--mount"] + ([] if IS_ROOT else ["--map-root-user"])
NAMESPACES = (
    shutil.which("unshare") is not None
    and subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0
)

pytestmark = pytest.mark.skipif(
    not NAMESPACES, reason="a resolver of the tests' own takes namespaces, which are Linux's, and refused here"
)


class Sandbox:
    """A namespace with one name server, and programs run in it."""

    def __init__(self, directory: Path) -> None:
        """Start the server; `close()` ends it, and with it the namespace."""
        self.config = directory / "config"
        self._asked = directory / "asked"
        self._asked.touch()
        for name, text in (("zone", ZONE), ("resolv.conf", RESOLVER), ("nsswitch.conf", SERVICES)):
            (directory / name).write_text(text)
        script = (
            'mount --bind "$1/resolv.conf" /etc/resolv.conf && mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf'
            ' && exec "$2" "$3" "$1/zone" "$1/asked"'
        )
        words = ["sh", "-c", script, "sh", str(directory), sys.executable, dns_server.__file__]
        self._server = subprocess.Popen(
            [*UNSHARE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """End the server."""
        self._server.kill()
        self._server.communicate()

    @contextlib.contextmanager
    def start(self, words: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
        """A program in the namespace, killed if it still runs at the end of the block."""
        enter = ["nsenter", f"--target={self._server.pid}", "--net", "--mount"]
        enter += [] if IS_ROOT else ["--user", "--preserve-credentials"]
        process = subprocess.Popen(
            [*enter, f"--wd={ROOT}", *words],
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, words: Sequence[str]) -> tuple[int, list[str], list[str]]:
        """Run a program to its end: status, lines of stdout and of stderr."""
        with self.start(words) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out.splitlines(), err.splitlines()

    def forget(self) -> None:
        """Forget what was asked."""
        self._asked.write_text("")

    @property
    def asked(self) -> list[str]:
        """What was asked since `forget()`, sorted: who asks for A and AAAA does it at once."""
        return sorted(self._asked.read_text().splitlines())


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox that the tests here share."""
    made = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield made
    made.close()


@pytest.fixture
def sandbox(namespace: Sandbox) -> Sandbox:
    """The sandbox, with an empty configuration and nothing asked yet."""
    namespace.config.write_text("")
    namespace.forget()
    return namespace


SHOWN = {"host", "hostname", "user", "port", "canonicalizehostname", "canonicalizemaxdots",
         "canonicalizefallbacklocal", "addressfamily"}  # fmt: skip


def settled(sandbox: Sandbox, program: Sequence[str], words: Sequence[str]) -> dict[str, object]:
    """What a program comes to with -G, what it says, and what it asks."""
    sandbox.forget()
    argv = [*program, "-F", str(sandbox.config), "-G", "-T", "-oLogLevel=VERBOSE", *words]
    status, out, err = sandbox.run(argv)
    return {
        "status": status,
        "settings": [line for line in out if line.split(" ")[0] in SHOWN],
        "said": [line.split(" (")[0] for line in err],  # what is in parentheses is our advice
        "asked": sandbox.asked,
    }


def same(sandbox: Sandbox, *words: str) -> dict[str, object]:
    """What pyssh comes to, which has to be what ssh comes to."""
    ours = settled(sandbox, PROGRAM, words)
    assert ours == settled(sandbox, ["ssh"], words)
    return ours


def hostname(came: dict[str, object]) -> str:
    """The name to connect to, or "" when nothing was settled."""
    settings = came["settings"]
    assert isinstance(settings, list)
    return next((line.partition(" ")[2] for line in settings if line.startswith("hostname ")), "")


YES = "-oCanonicalizeHostname=yes"
ALWAYS = "-oCanonicalizeHostname=always"
NO = "-oCanonicalizeHostname=no"
COM = "-oCanonicalDomains=example.com"
BOTH = "-oCanonicalDomains=example.org example.com"
BOTH_TURNED = "-oCanonicalDomains=example.com example.org"
ALL_CNAMES = "-oCanonicalizePermittedCNAMEs=*"
NO_FALLBACK = "-oCanonicalizeFallbackLocal=no"
PROXY = "-oProxyCommand=true"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((NO, COM, "web"), "web"),
        ((YES, COM, "web"), "web.example.com"),
        ((YES, COM, "WEB"), "web.example.com"),
        ((YES, BOTH, "web"), "web.example.org"),
        ((YES, BOTH, "four"), "four.example.com"),
        ((YES, "-oCanonicalDomains=Example.COM.", "web"), "web.example.com"),
        ((YES, "-oCanonicalDomains=none", "web"), "web"),
        ((YES, "web"), "web"),
        ((YES, COM, "nowhere"), "nowhere"),
        ((YES, COM, "near"), "near"),
        # Dots
        ((YES, COM, "deep.sub"), "deep.sub.example.com"),
        ((YES, COM, "very.deep.sub"), "very.deep.sub"),
        ((YES, COM, "-oCanonicalizeMaxDots=2", "very.deep.sub"), "very.deep.sub.example.com"),
        ((YES, COM, "-oCanonicalizeMaxDots=0", "deep.sub"), "deep.sub"),
        ((YES, COM, "-oCanonicalizeMaxDots=0", "web"), "web.example.com"),
        ((YES, COM, "web.example.com."), "web.example.com"),
        ((YES, "Top."), "top"),
        ((YES, COM, "nowhere."), "nowhere."),
        ((NO, "web.example.com."), "web.example.com."),
        ((YES, COM, "."), "."),
        ((YES, COM, "-oHostname=%h.example.com.", "WEB"), "web.example.com"),
        ((YES, COM, "-oHostname=web", "box"), "web.example.com"),
        # Nothing found, and nothing else to do
        ((YES, COM, NO_FALLBACK, "web"), "web.example.com"),
        ((YES, COM, NO_FALLBACK, "nowhere"), ""),
        ((YES, COM, NO_FALLBACK, "nowhere."), ""),
        ((YES, NO_FALLBACK, "web"), ""),
        ((YES, COM, NO_FALLBACK, "very.deep.sub"), "very.deep.sub"),
        ((YES, COM, NO_FALLBACK, PROXY, "nowhere"), "nowhere"),
        ((ALWAYS, COM, NO_FALLBACK, PROXY, "nowhere"), ""),
        # The ways to fail
        ((YES, BOTH_TURNED, "broken"), "broken.example.org"),
        ((YES, BOTH_TURNED, "empty"), "empty.example.org"),
        ((YES, BOTH_TURNED, "mute"), "mute.example.org"),
        # Proxies
        ((YES, COM, PROXY, "web"), "web"),
        ((YES, COM, "-oProxyCommand=none", "web"), "web.example.com"),
        ((ALWAYS, COM, PROXY, "web"), "web.example.com"),
        ((YES, COM, "-oProxyJump=jump", "web"), "web"),
        ((ALWAYS, COM, "-oProxyJump=jump", "web"), "web.example.com"),
        # Address families
        ((YES, COM, "-4", "six"), "six"),
        ((YES, COM, "-6", "six"), "six.example.com"),
        ((YES, COM, "-6", "four"), "four"),
        ((YES, COM, "-oAddressFamily=inet", "four"), "four.example.com"),
        # CNAMEs
        ((YES, COM, "www"), "www.example.com"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=none", "www"), "www.example.com"),
        ((YES, COM, ALL_CNAMES, "www"), "web.example.com"),
        ((YES, COM, ALL_CNAMES, "hop"), "web.example.com"),
        ((YES, COM, ALL_CNAMES, "www.example.com."), "web.example.com"),
        ((YES, COM, ALL_CNAMES, "caps"), "Web.Example.COM"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=*.example.com:*.example.com", "caps"), "caps.example.com"),
        ((YES, COM, ALL_CNAMES, "dash"), "dash.example.com"),
        ((YES, COM, ALL_CNAMES, "under"), "under.example.com"),
        ((YES, COM, ALL_CNAMES, "lost"), ""),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=*.EXAMPLE.com:*.example.COM", "www"), "web.example.com"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=*.example.org:*", "www"), "www.example.com"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=w??.example.com:*.example.org", "www"), "www.example.com"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=*:*.example.net *:*.example.org", "abroad"), "web.example.org"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=*:!web.*,*.example.com", "www"), "www.example.com"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=!www.*,*:*", "www"), "www.example.com"),
        ((YES, COM, "-oCanonicalizePermittedCNAMEs=a.example.com,www.example.com:*", "www"), "web.example.com"),
        # CNAMEs alone, by the system's own search
        ((ALL_CNAMES, "alias"), "alias"),
        ((ALL_CNAMES, "nowhere"), ""),
        ((ALL_CNAMES, "broken.example.com"), ""),
        ((ALL_CNAMES, PROXY, "nowhere"), "nowhere"),
        ((YES, ALL_CNAMES, "alias"), "web.example.com"),
        ((YES, ALL_CNAMES, "www.example.com"), "web.example.com"),
        ((YES, ALL_CNAMES, "hop.example.com"), "web.example.com"),
        ((YES, COM, ALL_CNAMES, "very.deep.sub"), ""),
        ((YES, ALL_CNAMES, PROXY, "alias"), "alias"),
        ((ALWAYS, ALL_CNAMES, PROXY, "alias"), "web.example.com"),
        ((ALWAYS, ALL_CNAMES, PROXY, "nowhere"), "nowhere"),
        # Addresses
        (("127.1",), "127.0.0.1"),
        (("0X7F.1",), "127.0.0.1"),
        (("010.0.0.1",), "8.0.0.1"),
        (("::0:1",), "::1"),
        (("FE80::1%lo",), "FE80::1%lo"),
        (("FE80::0:1%lo",), "fe80::1%lo"),
        (("fe80::1%nosuch",), "fe80::1%nosuch"),
        (("::FFFF:127.0.0.1",), "::FFFF:127.0.0.1"),
        (("0:0::FFFF:127.0.0.1",), "::ffff:127.0.0.1"),
        ((YES, COM, "300.1.1.1"), "300.1.1.1"),
        ((YES, COM, "127.0.0.1."), "127.0.0.1."),
        ((YES, COM, "A%b"), "A%b"),
        ((YES, COM, "-6", "127.1"), "127.1"),
        ((ALL_CNAMES, "-6", "127.1"), ""),
        ((ALL_CNAMES, "127.1"), "127.0.0.1"),
        ((YES, COM, "-oHostname=127.1", "web"), "127.0.0.1"),
        ((PROXY, "127.1"), "127.0.0.1"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value).replace("-oCanonical", ""),
)
def test_a_name_comes_to_what_ssh_makes_of_it(sandbox: Sandbox, words: tuple[str, ...], name: str) -> None:
    came = same(sandbox, *words)
    assert (hostname(came), came["status"]) == (name, 0 if name else 255)


def test_without_canonicalization_nobody_is_asked(sandbox: Sandbox) -> None:
    assert same(sandbox, COM, "web")["asked"] == []
    assert same(sandbox, YES, COM, "127.0.0.1")["asked"] == []


def test_a_failure_is_told_in_the_words_of_ssh(sandbox: Sandbox) -> None:
    assert same(sandbox, YES, COM, NO_FALLBACK, "nowhere")["said"] == ['ssh: Could not resolve host "nowhere"']
    assert same(sandbox, ALL_CNAMES, "nowhere")["said"] == [
        "ssh: Could not resolve hostname nowhere: Name or service not known"
    ]


@pytest.mark.parametrize(
    ("config", "words", "expected"),
    [
        ("Host *.example.com\n User canonical\nHost web\n User typed", ("web",), "user typed"),
        ("Host *.example.com\n User canonical\n Port 2222", ("web",), "user canonical"),
        ("Host *.example.com\n Port 2222", ("web",), "port 2222"),
        ("Host web\n Port 2200\nHost *.example.com\n Port 2222", ("web",), "port 2200"),
        ("Host *.example.com\n HostName elsewhere", ("web",), "hostname web.example.com"),
        ("Match canonical\n User second", ("web",), "user second"),
        ("Match !canonical\n User first\nMatch canonical\n User second", ("web",), "user first"),
        ("Match final\n User second", ("web",), "user second"),
        ("Match canonical host web.example.com\n User both", ("web",), "user both"),
        ("Match host web.example.com\n User both", ("web",), "user both"),
        ("Match originalhost web\n User typed\nMatch host web\n User other", ("web",), "user typed"),
        ("Match canonical originalhost web.example.com\n User no\nMatch all\n User yes", ("web",), "user yes"),
        ("Match canonical\n CanonicalizeMaxDots 7", ("web",), "canonicalizemaxdots 1"),
        ("Match canonical\n CanonicalizeFallbackLocal no", ("web",), "canonicalizefallbacklocal yes"),
        ("Match final\n CanonicalizeHostname yes\n User last", (NO, "web"), "hostname web"),
        ("Match final\n CanonicalDomains example.org", ("web",), "hostname web.example.com"),
        ("Host Web.*\n User capital", (ALL_CNAMES, "caps"), "user capital"),
    ],
)
def test_the_files_are_read_again_for_the_new_name(
    sandbox: Sandbox, config: str, words: tuple[str, ...], expected: str
) -> None:
    sandbox.config.write_text(f"CanonicalDomains example.com\n{config}\n")
    came = same(sandbox, *words, *(() if NO in words else (YES,)))
    assert isinstance(came["settings"], list)
    assert expected in came["settings"]


def test_steering_keywords_are_settled_by_the_first_pass(sandbox: Sandbox) -> None:
    sandbox.config.write_text("Match final\n CanonicalizeHostname yes\n CanonicalizeMaxDots 7\n")
    came = same(sandbox, COM, "web")
    assert isinstance(came["settings"], list)
    assert {"hostname web", "canonicalizehostname false", "canonicalizemaxdots 1"} <= set(came["settings"])


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ((YES, COM, "-4", "web"), "127.0.0.1"),
        ((YES, COM, ALL_CNAMES, "-4", "abroad"), "127.0.0.2"),
        ((YES, "top."), "127.0.0.10"),  # without its dot it would be looked up as top.search.example
        ((NO, "top"), "127.0.0.11"),
        (("fe80::0:1%lo",), "fe80::1%lo"),
    ],
)
def test_the_connection_goes_to_the_address_that_was_found(
    sandbox: Sandbox, words: tuple[str, ...], address: str
) -> None:
    def connecting(program: Sequence[str]) -> tuple[int, list[str], list[str]]:
        sandbox.forget()
        argv = [*program, "-F", str(sandbox.config), "-v", "-oUserKnownHostsFile=/dev/null", *words, "true"]
        status, _, err = sandbox.run(argv)
        tried = ("debug1: Connecting to ", "debug1: connect to address ", "ssh: connect to ")
        return status, [line.split(" (")[0] for line in err if line.startswith(tried)], sandbox.asked

    ours = connecting(PROGRAM)
    assert ours == connecting(["ssh"])
    assert f"[{address}] port 22." in ours[1][0]


@pytest.mark.parametrize("program", [["ssh"], PROGRAM], ids=["ssh", "pyssh"])
@pytest.mark.parametrize(
    "words", [("-G", YES, COM, "mute"), (ALL_CNAMES, "mute.example.com"), ("mute.example.com",)]
)
def test_ctrl_c_ends_a_look_up_that_is_never_answered(
    sandbox: Sandbox, program: list[str], words: tuple[str, ...]
) -> None:
    argv = [*program, "-F", str(sandbox.config), "-T", *words]
    with sandbox.start(argv, RES_OPTIONS="timeout:30 attempts:5") as client:  # more than a test's patience
        wait_until(lambda: sandbox.asked, "the look-up")
        client.send_signal(signal.SIGINT)
        out, err = client.communicate(timeout=PATIENCE)
    assert (client.returncode, out, err) == (-signal.SIGINT, "", "")


LOCAL = """
import fcntl, json, socket
from pyssh_cli.net.names import local_addresses
from tests.system.dns_server import loopback
before = local_addresses()
loopback(up=False)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    still_there = socket.inet_ntoa(fcntl.ioctl(any_socket, 0x8915, b"lo".ljust(40, b"\\0"))[20:24])
print(json.dumps([before, still_there, local_addresses()]))
loopback(up=True)
"""


def test_local_addresses_are_those_of_interfaces_that_are_up(tmp_path: Path) -> None:
    own = Sandbox(tmp_path)
    try:
        status, out, err = own.run([sys.executable, "-c", LOCAL])
    finally:
        own.close()
    assert (status, err) == (0, [])
    up, still_there, down = json.loads(out[0])
    assert up in (["127.0.0.1"], ["127.0.0.1", "::1"])
    assert still_there == "127.0.0.1"
    assert down == []
