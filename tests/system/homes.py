"""Sessions of an sshd in a home of their own: what they leave behind goes away with a directory of the test's, and
what they find there is what the test put there, whoever runs it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from tests.system.servers import Account

_SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")

_SHELL = """#!/bin/sh
cd {home} || exit 1
export HOME={home} PLACE={place}
case ${{SSH_ORIGINAL_COMMAND-}} in
'') exec bash --noprofile --rcfile .bashrc ;;
internal-sftp) exec {sftp_server} ;;
*) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


def make_home(directory: Path, place: str, account: Account, prompt: str = "ready> ") -> list[str]:
    """Make `directory` the home of an sshd's sessions; the lines that its configuration needs for that.

    The account owns it. Shells there show `prompt` and know the `place` by $PLACE.
    """
    directory.mkdir()
    (directory / ".bashrc").write_text(f"PS1={shlex.quote(prompt)}\nPS2=\nPROMPT_COMMAND=\n")
    sftp_server = next((path for path in _SFTP_SERVERS if Path(path).exists()), "false")
    shell = directory / ".shell"
    text = _SHELL.format(home=shlex.quote(str(directory)), place=shlex.quote(place), sftp_server=sftp_server)
    shell.write_text(text)
    shell.chmod(0o755)
    for path in (directory, *directory.iterdir()):
        shutil.chown(path, account.name)
    return [f"ForceCommand {shell}"]
