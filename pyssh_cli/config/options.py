"""The resolved set of options: what one connection does, after flags, files and defaults have been weighed.

Field names are ssh_config(5)'s keywords in snake case, plurals where a keyword adds up. Tokens, `~` and `${ENV}`
have been expanded in every field that takes them unless said.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Identity(NamedTuple):
    """One private key file to try. `explicit` ones were named by -i or IdentityFile; the others are defaults,
    and those are passed over in silence when they are missing."""

    path: str
    explicit: bool


class Options(NamedTuple):
    """Everything `client/` needs to know of a connection; times are seconds, sizes bytes."""

    original_host: str
    """The destination as typed, without user and port."""
    hostname: str
    """What is looked up and connected to."""
    port: int
    user: str
    host_key_alias: str | None
    address_family: Literal["any", "inet", "inet6"]
    bind_address: str | None
    bind_interface: str | None
    connect_timeout: int | None
    """Bounds connecting, version exchange and key exchange; None is no bound of ours."""
    connection_attempts: int
    tcp_keep_alive: bool
    server_alive_interval: int
    server_alive_count_max: int

    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    kex_algorithms: tuple[str, ...]
    host_key_algorithms: tuple[str, ...]
    host_key_algorithms_default: bool
    """Whether HostKeyAlgorithms was left alone, so that known_hosts may reorder it."""
    compression: bool
    rekey_limit: tuple[int, int]
    """Bytes (0: the cipher's own limit) and seconds (0: never by time)."""
    required_rsa_size: int

    strict_host_key_checking: Literal["yes", "no", "ask", "accept-new"]
    user_known_hosts_files: tuple[str, ...]
    global_known_hosts_files: tuple[str, ...]
    hash_known_hosts: bool
    fingerprint_hash: Literal["sha256", "md5"]

    pubkey_authentication: bool
    pubkey_accepted_algorithms: tuple[str, ...]
    identities: tuple[Identity, ...]
    identities_only: bool
    identity_agent: str | None
    """The agent's socket, None for no agent."""
    password_authentication: bool
    kbd_interactive_authentication: bool
    preferred_authentications: tuple[str, ...]
    number_of_password_prompts: int
    batch_mode: bool

    request_tty: Literal["auto", "no", "yes", "force"]
    session_type: Literal["default", "subsystem", "none"]
    command: str | None
    """The remote command, or the subsystem's name when session_type is "subsystem"; None asks for a shell."""
    send_env: tuple[str, ...]
    """Patterns of names of local variables to send."""
    set_env: tuple[tuple[str, str], ...]
    stdin_null: bool
    escape_char: int | None
    """The byte, or None for no escapes."""
    log_level: int
    """A rank of log.LOG_LEVELS."""
