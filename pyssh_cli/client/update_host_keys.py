"""UpdateHostKeys (ssh_config(5)): a server we trust tells all its host keys, and known_hosts learns and forgets
accordingly (OpenSSH's PROTOCOL 2.5).

Keys that are new have to be proved: the server signs the session with each of them before anything is written.
ssh is as cautious as this: where lines name more than this host, or the keys more than these lines, nothing is
done.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pyssh_cli.client.owners import Answered
from pyssh_cli.client.trust import HostTrust
from pyssh_cli.config.options import Options
from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import KEY_TYPES, algorithms_of
from pyssh_cli.keys.host_patterns import ascii_lower
from pyssh_cli.keys.known_hosts import KnownHost, is_only_for, update
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import INFO, VERBOSE, Log
from pyssh_cli.terminal.questions import Questions
from pyssh_cli.wire import Reader, string

HOST_KEYS = "hostkeys-00@openssh.com"
PROVE = "hostkeys-prove-00@openssh.com"

MAX_KEYS = 64
"""Keys of one server; more are no honest offer."""

_ANSWERS = 3
"""How often the person is asked, as by ssh."""


class UpdateHostKeys:
    """One server's keys on their way to known_hosts. `ask` is `Connection.global_request`."""

    def __init__(
        self,
        options: Options,
        log: Log,
        questions: Questions,
        trust: HostTrust,
        session_id: bytes,
        ask: Callable[[str, bytes, Answered], None],
    ) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._trust = trust
        self._session_id = session_id
        self._ask = ask
        names = [trust.name, trust.address] if trust.checks_address else [trust.name]
        self._names = [ascii_lower(name) for name in names]
        self._asks = trust.update_host_keys == "ask"
        self._announced: set[bytes] = set()  # blobs of every type
        self._keys: list[PublicKey] = []  # those of the types that we have
        self._new: list[PublicKey] = []
        self._old: list[KnownHost] = []

    def server_has(self, fields: bytes) -> None:
        """The server tells its keys: ask for proof of the new ones, or forget old ones at once."""
        if not self._read(fields) or not self._compare():
            return
        if self._new:
            self._log.debug3(f"asking server to prove ownership for {len(self._new)} keys")
            self._ask(PROVE, b"".join(string(key.blob) for key in self._new), self.server_proves)
        else:
            self._write()

    def server_proves(self, success: bool, fields: bytes) -> None:
        """The answer to the request: signatures of all keys that are new for the name, or a refusal. Nothing is
        written but those, and what the name's lines hold already."""
        if not success:
            self._log.error("Server failed to confirm ownership of private host keys")
            return
        reader = Reader(fields)
        try:
            for key in self._new:
                if not self._is_proved(key, reader.string()):
                    self._log.error(f"server gave bad signature for {key.short_name} key")
                    return
            reader.end()
        except ProtocolError as error:
            self._log.error(f"server failed to prove its host keys: {error}")
            return
        self._write()

    def _is_proved(self, key: PublicKey, signature: bytes) -> bool:
        algorithm = Reader(signature).text()
        allowed = [name for name in algorithms_of(key.type) if name in self._options.host_key_algorithms]
        data = string(PROVE.encode("ascii")) + string(self._session_id) + string(key.blob)
        return algorithm in allowed and key.verify(algorithm, data, signature)

    # What the server says ---------------------------------------------------------------------------------------

    def _read(self, fields: bytes) -> bool:
        """Take the keys down. False where there is nothing to go by."""
        reader = Reader(fields)
        try:
            while reader.remaining():
                if len(self._announced) == MAX_KEYS:
                    self._log.debug1(f"server has more than {MAX_KEYS} host keys; they are left alone")
                    return False
                if not self._take(reader.string()):
                    return False
        except ProtocolError as error:
            self._log.debug1(f"server sent malformed host keys: {error}")
            return False
        if not self._keys:
            self._log.debug1("server sent no hostkeys")
        return bool(self._keys)

    def _take(self, blob: bytes) -> bool:
        """Take a key down. False for a server that does not know what it has: nothing is to be done then."""
        try:
            key = PublicKey.parse(blob)
        except ProtocolError as error:
            self._log.error(f"server sent a host key that is malformed: {error}")
            return False
        if blob in self._announced:
            self._log.error(f"received duplicated {key.type} host key")
            return False
        self._announced.add(blob)
        if key.type in KEY_TYPES:
            self._keys.append(key)
        else:  # a certificate, or of a type that we do not have
            self._log.debug1(f"server sent a host key of type {key.type}, which is passed over")
        return True

    def _is_wanted(self, key: PublicKey) -> bool:
        """Whether we could use such a key: HostKeyAlgorithms, RequiredRSASize."""
        if key.is_smaller_rsa_than(self._options.required_rsa_size):
            return False
        return any(name in self._options.host_key_algorithms for name in algorithms_of(key.type))

    # What the files say -----------------------------------------------------------------------------------------

    def _compare(self) -> bool:
        """Find what is new and what is obsolete; False where nothing is to be done, or it is better not done."""
        own = dict.fromkeys(entry for name in self._names for entry in self._user_entries(name))
        # A key of the address alone says nothing of the name, which is what it would be written for.
        known = {entry.key for entry in self._user_entries(self._names[0]) if not entry.marker}
        self._new = [key for key in self._keys if key not in known and self._is_wanted(key)]
        self._old = [entry for entry in own if self._is_obsolete(entry)]
        if not self._new and not self._old:
            self._log.debug1("no new or deprecated keys from server")
            return False
        for entry in own:
            if entry.marker or _is_complex(entry):
                return self._leave(f"{entry.file}:{entry.line} has a marker, wildcards or many names")
            if self._trust.checks_address and not self._is_consistent(entry):
                return self._leave(f"{entry.file}:{entry.line} has another name or address")
        seen = {(entry.file, entry.line) for entry in own}
        for key in (*filter(self._is_wanted, self._keys), *(entry.key for entry in self._old)):
            for entry in self._trust.known_hosts.entries_of(key):
                if (entry.file, entry.line) not in seen and entry.file in self._options.user_known_hosts_files:
                    return self._leave(f"{entry.file}:{entry.line} has a key under another name or address")
        return True

    def _user_entries(self, name: str) -> list[KnownHost]:
        files = self._options.user_known_hosts_files
        return [entry for entry in self._trust.known_hosts.entries(name) if entry.file in files]

    def _is_obsolete(self, entry: KnownHost) -> bool:
        """Whether the server has this key no longer, of a type that we have, in a line for this host alone."""
        if entry.marker or entry.key.type not in KEY_TYPES or entry.key.blob in self._announced:
            return False
        return is_only_for(entry, self._names)

    def _is_consistent(self, entry: KnownHost) -> bool:
        """Whether a line that names two names our host and our address (CheckHostIP)."""
        return "," not in entry.names or set(ascii_lower(entry.names).split(",")) <= set(self._names)

    def _leave(self, why: str) -> bool:
        self._log.debug1(f"{why}, skipping UserKnownHostsFile update")
        return False

    # Writing ----------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        rank = INFO if self._asks else VERBOSE
        if self._asks:
            self._log.info("The server has updated its host keys.")
            self._log.info("These changes were verified by the server's existing trusted key.")
        for key in self._new:
            self._log.say(rank, f"Learned new hostkey: {key.short_name} {self._fingerprint(key)}")
        for entry in self._old:
            shown = f"{entry.key.short_name} {self._fingerprint(entry.key)}"
            self._log.say(rank, f"Deprecating obsolete hostkey: {shown}")
        if self._asks and not self._is_accepted():
            return
        keys = [key for key in self._keys if self._is_wanted(key)]
        obsolete = [entry.key for entry in self._old]
        try:
            for path in self._options.user_known_hosts_files:
                self._update(path, keys, obsolete)
                # What further files say of the host is said in the first one now.
                obsolete, keys = [*obsolete, *keys], []
        except KeyFileError as error:
            self._log.error(str(error))

    def _update(self, path: str, keys: list[PublicKey], obsolete: list[PublicKey]) -> None:
        if not keys and not os.path.exists(path):
            return
        done = update(path, self._names, keys, obsolete, self._options.hash_known_hosts)
        for entry in done.removed:
            self._log.verbose(f"{path}:{entry.line}: Removed {entry.key.short_name} key for host {self._names[0]}")
        for key in done.added:
            shown = f"{key.type} {self._fingerprint(key)}"
            self._log.verbose(f"Adding new key for {','.join(self._names)} to {path}: {shown}")

    def _is_accepted(self) -> bool:
        """Whether the person says yes."""
        for _ in range(_ANSWERS):
            # Fresh: what was typed ahead was for the remote side.
            answer = self._questions.ask_line("Accept updated hostkeys? (yes/no): ", fresh=True)
            if answer is None or answer.lower() == "no":
                return False
            if answer.lower() == "yes":
                return True
            self._log.info('Please enter "yes" or "no"')
        return False

    def _fingerprint(self, key: PublicKey) -> str:
        return key.fingerprint(self._options.fingerprint_hash)


def _is_complex(entry: KnownHost) -> bool:
    """Whether a line is none that ssh writes: wildcards, or more than a name and an address."""
    return not entry.names.startswith("|") and (
        "*" in entry.names or "?" in entry.names or entry.names.count(",") > 1
    )
