"""Host-based authentication (RFC 4252 section 9): the client's host vouches for its user.

The host's private keys are root's. OpenSSH's setuid helper ssh-keysign(8) signs with them, if EnableSSHKeysign is
set in the system's ssh_config, and only what names the very user who asks and the host itself.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pwd import getpwuid

from pyssh_cli.config.options import Options
from pyssh_cli.config.passes import SYSTEM_FILE
from pyssh_cli.errors import KeyFileError, ProtocolError, PysshError
from pyssh_cli.keys.algorithms import key_type_of
from pyssh_cli.keys.certificates import certificate_path
from pyssh_cli.keys.public import PublicKey, parse_public_file
from pyssh_cli.log import Log, printable
from pyssh_cli.protocol.userauth import UserAuth
from pyssh_cli.wire import Reader, string, uint32

HOST_KEYS = tuple(f"/etc/ssh/ssh_host_{kind}_key" for kind in ("ecdsa", "ed25519", "rsa"))
"""The private keys that ssh-keysign knows (ssh-keysign(8)), in ssh's order; we read the public halves."""

KEYSIGN = (
    "/usr/lib/openssh/ssh-keysign",
    "/usr/libexec/openssh/ssh-keysign",
    "/usr/libexec/ssh-keysign",
    "/usr/lib/ssh/ssh-keysign",
)
"""Where Debian, Fedora, macOS and others have the helper."""

_VERSION = 2
"""Of ssh-keysign's messages: a length, this byte, and fields as in packets."""

_MAX_REPLY = 64 * 1024

_NO_SOCKET = "the connection has no socket of its own, which ssh-keysign wants to see"


class Hostbased:
    """hostbased on one connection, with one key of this host after the other. `sock` is the connection's socket:
    the helper asks it for this host's name. `problem` tells why nothing was tried; empty for
    nothing."""

    def __init__(
        self, options: Options, log: Log, auth: UserAuth, session_id: bytes, sock: socket.socket | None
    ) -> None:
        self._options = options
        self._log = log
        self._auth = auth
        self._session_id = session_id
        self._socket = sock
        self._keys: list[tuple[str, PublicKey]] | None = None
        self.name = ""
        """The key tried last."""
        self.problem = ""

    def attempt(self) -> bool:
        """Prove the next key of HostbasedAcceptedAlgorithms; False when none is left, or none can be proved."""
        self.problem = ""
        if self._keys is None:
            self._keys = _public_keys(self._log)
            if not self._keys:
                self.problem = "this host has no host keys in /etc/ssh"
        for algorithm in self._options.hostbased_accepted_algorithms:
            found = next((pair for pair in self._keys if pair[1].type == key_type_of(algorithm)), None)
            if found is not None:
                self._keys.remove(found)
                return self._prove(algorithm, *found)
        self._log.debug1("No more client hostkeys for hostbased authentication.")
        return False

    def _prove(self, algorithm: str, path: str, key: PublicKey) -> bool:
        fingerprint = key.fingerprint(self._options.fingerprint_hash)
        self.name = f"{path} {key.short_name} {fingerprint}"
        self._log.debug1(f"trying hostkey {key.type} {fingerprint} using sigalg {algorithm}")
        try:
            host = f"{_local_name(self._socket)}."
            user = getpwuid(os.getuid()).pw_name
            self._log.debug2(f"chost {host}")
            self._auth.hostbased(algorithm, key.blob, (host, user), self._session_id, self._sign)
        except (PysshError, OSError, KeyError, ValueError) as error:
            self._log.error(f"sign using hostkey {key.type} {fingerprint} failed: {error}")
            self.problem = printable(str(error))
            return False
        return True

    def _sign(self, data: bytes) -> bytes:
        """The signature of `data` by ssh-keysign. Raises KeyFileError."""
        helper = next((path for path in KEYSIGN if os.path.exists(path)), None)
        if helper is None:
            raise KeyFileError(f"ssh-keysign is not installed: there is no {KEYSIGN[0]}")
        if self._socket is None:
            raise KeyFileError(_NO_SOCKET)
        descriptor = self._socket.fileno()
        message = bytes((_VERSION,)) + uint32(descriptor) + string(data)
        try:
            done = subprocess.run(
                [helper], input=string(message), stdout=subprocess.PIPE, pass_fds=(descriptor,), check=False
            )
        except OSError as error:
            raise KeyFileError(f"{helper} cannot be run: {error.strerror}") from None
        if done.returncode:
            raise KeyFileError(
                f"{helper} signs nothing (is EnableSSHKeysign set in /etc/ssh/ssh_config, outside of any Host?)"
            )
        try:
            if len(done.stdout) > _MAX_REPLY:
                raise ProtocolError("too long")
            reply = Reader(done.stdout)
            body = Reader(reply.view())
            reply.end()
            if body.byte() != _VERSION:
                raise ProtocolError("of another version")
            signature = body.string()
            body.end()
        except ProtocolError as error:
            raise KeyFileError(f"the answer of {helper} cannot be read: {error}") from None
        return signature


def obstacle(options: Options, log: Log, sock: socket.socket | None) -> str:
    """Why this host cannot vouch for its user, as far as that shows without a signature; empty for nothing."""
    if sock is None:
        return _NO_SOCKET
    types = {key_type_of(name) for name in options.hostbased_accepted_algorithms}
    if not any(key.type in types for _, key in _public_keys(log)):
        return "this host has no host keys in /etc/ssh that HostbasedAcceptedAlgorithms takes"
    if not any(os.path.exists(path) for path in KEYSIGN):
        return f"ssh-keysign is not installed: there is no {KEYSIGN[0]}"
    return "" if _may_sign(log) else f"EnableSSHKeysign is not set in {SYSTEM_FILE}, outside of any Host"


def _may_sign(log: Log) -> bool:
    """Whether the system's own file lets the helper sign; it reads no other. True where that cannot be told."""
    from pyssh_cli.config.resolve import resolve
    from pyssh_cli.config.settings import Settings
    from pyssh_cli.net.names import SystemNetwork

    try:
        return resolve(Settings(), "*", SystemNetwork(log), log, config_file=SYSTEM_FILE).enable_ssh_keysign
    except PysshError:
        return True


def _public_keys(log: Log) -> list[tuple[str, PublicKey]]:
    """This host's public keys and their files, certificates first, as ssh has them."""
    found = []
    for path in (*map(certificate_path, HOST_KEYS), *(f"{path}.pub" for path in HOST_KEYS)):
        try:
            with open(path, "rb") as file:
                found.append((path, parse_public_file(file.read(1 << 20))[0]))
        except OSError as error:
            log.debug2(f"{path}: {error.strerror}")
        except PysshError as error:
            log.debug1(f"{path}: {error}")
    return found


def _local_name(sock: socket.socket | None) -> str:
    """This host's name as ssh-keysign finds it: that of the connection's own address, or else the system's."""
    if sock is not None:
        try:
            host, *rest = sock.getsockname()
            if host.startswith("::ffff:") and "." in host:  # an IPv4 address that is written as IPv6
                host, rest = host.removeprefix("::ffff:"), rest[:1]
            return socket.getnameinfo((host, *rest), socket.NI_NAMEREQD)[0]
        except (OSError, ValueError):
            pass
    return socket.gethostname()
