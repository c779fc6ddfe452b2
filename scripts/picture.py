"""Makes docs/session.svg: two throwaway sshds, one behind the other, pyssh in tmux, and its screen as a picture.

Names, prompts and home directories are made up for it; nothing of the machine it is made on is to be seen.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.svg import render
from tests.system.clients import Client
from tests.system.homes import make_home
from tests.system.servers import Account, KeyRing, Park, Server, public_directory, throwaway_account
from tests.system.terminals import Screen
from tests.system.waiting import wait_until

ROOT = Path(__file__).parents[1]
COLUMNS, ROWS = 92, 64
"""Of the terminal; rows that stay empty are not drawn."""

USER = "deploy"
LOCAL_PROMPT = r"\[\e[1;34m\]~\[\e[0m\] \[\e[1;32m\]$\[\e[0m\] "
REMOTE_PROMPT = r"\[\e[1;33m\]" + USER + r"@{place}\[\e[0m\] $ "

LOCAL, REMOTE = "~ $", f"{USER}@db1 $"
SCENE: list[tuple[str, ...]] = [
    ("pyssh -J bastion db1", "Enter", REMOTE),
    ("tail -n 2 backup.log", "Enter", REMOTE),
    ("Enter", REMOTE),
    ("~#", "round trip"),
    ("Enter", REMOTE),
    ("exit", "Enter", LOCAL),
    ("pyssh -J bastion bd1", "Enter", LOCAL),
    ("pyssh --diagnose db1", "Enter", LOCAL),
]
"""What is typed: keys by tmux's names; the last of each is what the screen then has to show once more."""

LOG = "02:00:00 backup of orders begins\n02:00:41 backup of orders done, 1.9 GiB\n"


@contextlib.contextmanager
def hosts(directory: Path, account: Account) -> Iterator[dict[str, Server]]:
    """The sshds, by the names that the picture knows them by."""
    park = Park(directory, account, KeyRing(directory / "host-keys"))
    try:
        made = {}
        for name in ("bastion", "db1"):
            home = directory / name
            lines = make_home(home, name, account, REMOTE_PROMPT.format(place=name))
            (home / "backup.log").write_text(LOG)
            made[name] = park.openssh(*lines)
        yield made
    finally:
        park.stop()


def write_config(client: Client, servers: dict[str, Server]) -> None:
    """A configuration and known hosts in which the names mean the servers."""
    text = known = ""
    for name, server in servers.items():
        text += f"Host {name}\n    HostName 127.0.0.1\n    Port {server.port}\n    User {server.user}\n"
        text += f"    HostKeyAlias {name}\n"
        known += "".join(f"{name} {key}\n" for key in server.host_keys)
    shutil.copy(client.keys.path("ed25519"), client.home / ".ssh" / "id_ed25519")
    text += "Host *\n    IdentityFile .ssh/id_ed25519\n    IdentitiesOnly yes\n"
    text += f"    UserKnownHostsFile {client.known_hosts}\n    WarnWeakCrypto no\n    StrictHostKeyChecking yes\n"
    client.config.write_text(text)
    client.known_hosts.write_text(known)


def play(client: Client) -> str:
    """The screen at the end of the scene, with its colours."""
    programs = client.home / "bin"
    programs.mkdir()
    client.wrapper().rename(programs / "pyssh")
    bashrc = client.home / ".bashrc"
    bashrc.write_text(f"cd\nPS1='{LOCAL_PROMPT}'\nPROMPT_COMMAND=\n")
    path = os.pathsep.join([str(programs), client.environment["PATH"]])
    environment = {**client.environment, "PATH": path, "TERM": "xterm-256color"}
    shell = ["bash", "--noprofile", "--rcfile", str(bashrc), "-i"]
    screen = Screen(shell, environment, rows=ROWS, columns=COLUMNS)
    try:
        screen.wait_for(LOCAL)
        for *keys, wanted in SCENE:
            before = screen.text().count(wanted)
            for key in keys:
                screen.type(key)
            wait_until(lambda: screen.text().count(wanted) > before, f"{wanted!r} after {keys}")  # noqa: B023
        return screen.coloured()
    except TimeoutError as problem:
        sys.exit(f"{problem}; the screen shows\n{screen.text()}")
    finally:
        screen.close()


def main() -> None:
    """See the top; an argument names another file to write."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "session.svg"
    directory = public_directory()
    home = Path(tempfile.mkdtemp(prefix="pyssh-picture-"))
    try:
        with throwaway_account(directory) as account:
            keys = KeyRing(directory / "keys")
            account.authorize(keys.public_lines())
            with hosts(directory, account) as servers:
                client = Client(home / "home", keys)
                write_config(client, servers)
                shown = play(client)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
    # The home and the account are of this run only; all else is as it came.
    shown = shown.replace(str(home / "home"), "~").replace(account.name, USER)
    told = re.search(re.escape(account.name) + "|" + re.escape(os.uname().nodename) + r"|/tmp/", shown)
    if told:
        sys.exit(f"The screen shows {told[0]!r}, which is not for others' eyes:\n{shown}")
    target.parent.mkdir(exist_ok=True)
    target.write_text(render(shown, columns=COLUMNS, title="pyssh"))
    print(f"{target} is written.")


if __name__ == "__main__":
    main()
