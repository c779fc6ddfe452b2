"""The recipes of README.md, each run as it stands there against real servers; only the host names mean servers of
the tests, and ports are free ones here."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.system.clients import Client
from tests.system.forwarded import fetch, listens, website
from tests.system.homes import make_home
from tests.system.servers import Account, Park, Server, free_port
from tests.system.terminals import Terminal
from tests.system.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
HOSTS = ("web1", "db1", "bastion")


class Written(NamedTuple):
    """A recipe as README.md has it: its commands, and the settings it shows, by the language of their block."""

    commands: list[str]
    settings: dict[str, str]


def written_recipes(text: str) -> dict[str, Written]:
    """The recipes by their titles."""
    section = re.search(r"^## Recipes\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert section
    found: dict[str, Written] = {}
    for part in re.split(r"^### ", section[1], flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
        commands = [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]
        found[title] = Written(commands, {kind: block for kind, block in blocks if kind != "sh"})
    return found


RECIPES = written_recipes(README)
TESTED: set[str] = set()


def cooks(title: str) -> Callable[[Callable[..., None]], Any]:
    """Marks the test of a recipe, which gets it as its argument `recipe`."""
    TESTED.add(title)
    return pytest.mark.parametrize("recipe", [title], indirect=True)


class Recipe:
    """A recipe at work: its commands are handed out one by one, until all have been run."""

    def __init__(self, written: Written) -> None:
        self.settings = written.settings
        self.left = list(written.commands)

    def next(self, stands_for: Mapping[str, str | int] | None = None) -> str:
        """The next command, with these words in it replaced."""
        command = self.left.pop(0)
        for word, other in (stands_for or {}).items():
            command, count = re.subn(rf"(?<![\w.]){re.escape(word)}(?!\w)", str(other), command)
            assert count, f"no {word} in {command!r}"
        return command


class Person:
    """Who follows the recipes: a working directory, and a `pyssh` in the PATH that knows the hosts."""

    def __init__(self, client: Client, servers: Mapping[str, Server]) -> None:
        self.client = client
        self.servers = servers
        self.directory = client.home / "work"
        self.directory.mkdir()
        programs = client.home / "bin"
        programs.mkdir()
        client.wrapper().rename(programs / "pyssh")
        path = [str(programs), str(Path(sys.executable).parent), client.environment["PATH"]]
        self.environment = {
            **client.environment,
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": str(ROOT),  # for a client that is not run from here
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.configure("")

    def configure(self, lines: str) -> None:
        """Write a configuration that knows the hosts, with these lines at its top."""
        for name, server in self.servers.items():
            lines += f"Host {name}\n    HostName 127.0.0.1\n    Port {server.port}\n    User {server.user}\n"
        lines += f"Host *\n    IdentityFile {self.client.keys.path('ed25519')}\n    IdentitiesOnly yes\n"
        lines += f"    UserKnownHostsFile {self.client.known_hosts}\n    GlobalKnownHostsFile /dev/null\n"
        self.client.config.write_text(lines)
        known = [(server.port, key) for server in self.servers.values() for key in server.host_keys]
        self.client.known_hosts.write_text("".join(f"[127.0.0.1]:{port} {key}\n" for port, key in known))

    def run(self, command: str, stdin: str = "") -> str:
        """What the command prints; it must end well."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.directory,
            env=self.environment,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=4 * PATIENCE,
            check=False,
            start_new_session=True,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, command: str, ready: int) -> Iterator[subprocess.Popen[bytes]]:
        """The command, once something listens at the port `ready`; ended at the end of the block."""
        words = shlex.split(command)
        with subprocess.Popen(
            words, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                wait_until(lambda: listens(ready) or process.poll() is not None, command)
                assert process.poll() is None
                yield process
            finally:
                process.terminate()

    @contextlib.contextmanager
    def terminal(self, command: str) -> Iterator[Terminal]:
        """The command on a terminal."""
        opened = Terminal(["bash", "-c", f"exec {command}"], self.environment)
        try:
            yield opened
        finally:
            opened.close()

    def write(self, name: str, text: str) -> None:
        """Write a file in the working directory."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def read(self, name: str) -> str:
        """What is in a file of the working directory."""
        return (self.directory / name).read_text()


class Place(NamedTuple):
    """A host of the recipes: its server, and the home that sessions there see."""

    server: Server
    home: Path

    def logins(self) -> int:
        """How many connections were let in."""
        return self.server.log_text().count("Accepted publickey")


@pytest.fixture
def places(own_park: Park, account: Account) -> dict[str, Place]:
    """The hosts of the recipes."""
    made = {}
    for name in HOSTS:
        home = own_park.directory / f"{name}-{secrets.token_hex(4)}"
        made[name] = Place(own_park.openssh(*make_home(home, name, account)), home)
    return made


@pytest.fixture
def person(pyssh: Client, places: dict[str, Place]) -> Person:
    """Who follows the recipes."""
    return Person(pyssh, {name: place.server for name, place in places.items()})


@pytest.fixture
def recipe(request: pytest.FixtureRequest) -> Iterator[Recipe]:
    """The recipe that the test cooks, of which nothing may be left."""
    made = Recipe(RECIPES[request.param])
    yield made
    assert not made.left


def test_every_recipe_has_a_test() -> None:
    assert set(RECIPES) == TESTED
    assert len(RECIPES) >= 10
    assert all(recipe.commands for recipe in RECIPES.values())


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^):#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@cooks("Run a command")
def test_command(recipe: Recipe, person: Person, places: dict[str, Place]) -> None:
    assert "load average" in person.run(recipe.next())
    person.write("site/index.html", "<p>Hello")
    person.run(recipe.next())
    assert (places["web1"].home / "copy" / "site" / "index.html").read_text() == "<p>Hello"


@cooks("Open a shell")
def test_shell(recipe: Recipe, person: Person) -> None:
    with person.terminal(recipe.next()) as shown:
        shown.expect("ready> ")
        shown.send("echo here is $PLACE\r")
        shown.expect("here is web1.*ready> ")
        shown.send("\r~#")
        shown.expect("session")
        shown.send("exit 7\r")
        assert shown.wait() == 7
    with person.terminal(recipe.next()) as shown:
        shown.expect("load average")
        shown.send("q")
        assert shown.wait() == 0


@cooks("Tunnel to a remote port")
def test_tunnel(recipe: Recipe, person: Person) -> None:
    port = free_port()
    with website() as site, person.running(recipe.next({"80": site, "8080": port}), port):
        assert fetch(f"http://localhost:{port}/page") == "found /page"


@cooks("Be a SOCKS proxy")
def test_socks(recipe: Recipe, person: Person) -> None:
    port = free_port()
    with website() as site, person.running(recipe.next({"1080": port}), port):
        assert person.run(recipe.next({"1080": port, "intranet.example": f"localhost:{site}"})) == "found /"


@cooks("Lend a local port")
def test_remote_forward(recipe: Recipe, person: Person) -> None:
    port = free_port()
    with website() as site, person.running(recipe.next({"9000": port, "3000": site}), port):
        assert fetch(f"http://localhost:{port}/hook") == "found /hook"


@cooks("Jump through a bastion")
def test_jump(recipe: Recipe, person: Person, places: dict[str, Place]) -> None:
    with person.terminal(recipe.next()) as shown:
        shown.expect("ready> ")
        shown.send("echo here is $PLACE\r")
        shown.expect("here is db1.*ready> ")
        shown.send("exit\r")
        assert shown.wait() == 0
    assert [places[name].logins() for name in HOSTS] == [0, 1, 1]
    web1 = places["web1"].server
    assert "load average" in person.run(recipe.next({"deploy": web1.user, "2222": web1.port}))
    assert [places[name].logins() for name in HOSTS] == [1, 2, 2]
    person.configure(recipe.settings["sshconfig"])
    assert person.run("pyssh db1 'echo $PLACE'") == "db1\n"
    assert [places[name].logins() for name in HOSTS] == [1, 3, 3]


@cooks("Use git")
def test_git(recipe: Recipe, person: Person) -> None:
    commit = "git -C seed -c user.name=A -c user.email=a@example.org commit -q -m Change"
    push = "git -C seed -c core.sshCommand=pyssh push -q web1:project.git main"
    person.run("git init -q -b main seed && pyssh web1 git init -q --bare -b main project.git")
    person.write("seed/file", "one\n")
    person.run(f"git -C seed add file && {commit} && {push}")
    person.run(recipe.next())
    person.run(recipe.next())
    assert person.read("project/file") == "one\n"
    person.write("seed/file", "two\n")
    person.run(f"git -C seed add file && {commit} && {push}")
    person.run(recipe.next())
    assert person.read("project/file") == "two\n"


@cooks("Copy with rsync, scp and sftp")
def test_copies(recipe: Recipe, person: Person, places: dict[str, Place]) -> None:
    person.write("site/index.html", "<p>Hello")
    person.run(recipe.next())
    assert (places["web1"].home / "site" / "index.html").read_text() == "<p>Hello"
    person.write("report.txt", "All is well.\n")
    person.run(recipe.next())
    assert (places["web1"].home / "report.txt").read_text() == "All is well.\n"
    person.run(recipe.next(), stdin="get report.txt back.txt\n")
    assert person.read("back.txt") == "All is well.\n"


@cooks("Run Ansible")
def test_ansible(recipe: Recipe, person: Person, places: dict[str, Place]) -> None:
    sockets = places["web1"].home.with_suffix(".sockets")  # a path short enough for an ssh that shares connections
    person.environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(sockets)
    person.write("ansible.cfg", recipe.settings["ini"])
    person.write("hosts", "web1\ndb1\n")
    task = "copy: {content: 'By Ansible.', dest: note.txt}"
    person.write("site.yml", f"- hosts: all\n  gather_facts: no\n  tasks:\n    - {task}\n")
    assert person.run(recipe.next()).count('"ping": "pong"') == 2
    person.run(recipe.next())
    for name in ("web1", "db1"):
        assert (places[name].home / "note.txt").read_text() == "By Ansible."


@pytest.mark.beyond_ssh
@cooks("Keep a tunnel up")
def test_reconnecting_tunnel(recipe: Recipe, person: Person, places: dict[str, Place]) -> None:
    port = free_port()
    with website() as site, person.running(recipe.next({"80": site, "8080": port}), port) as process:
        assert fetch(f"http://localhost:{port}/before") == "found /before"
        for pid in places["web1"].server.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: fetch(f"http://localhost:{port}/after") == "found /after", "the tunnel to be back")
        assert process.poll() is None
    assert places["web1"].logins() == 2
