"""The resolved set of options: what one connection does, after flags, files and defaults have been weighed.

Field names are ssh_config(5)'s keywords in snake case, plurals where a keyword adds up. Tokens, `~` and `${ENV}`
have been expanded in every field that takes them unless said.
"""

# No "from __future__ import annotations": a NamedTuple compiles annotations that are strings: 0.5 ms here.

from typing import Literal, NamedTuple

from pyssh_cli.config.forwards import Forward
from pyssh_cli.config.tokens import Tokens


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
    addresses: tuple[str, ...]
    """The addresses of hostname where canonicalization has looked them up already; else empty."""
    port: int
    user: str
    host_key_alias: str | None
    address_family: Literal["any", "inet", "inet6"]
    bind_address: str | None
    bind_interface: str | None
    proxy: str | None
    """The URI of an HTTP or SOCKS proxy (`proxies.parse_proxy`), password and all: not to be shown."""
    proxy_command: str | None
    """As configured, its tokens unexpanded: the shell that runs it gets them when it is run."""
    proxy_jump: str | None
    proxy_use_fdpass: bool
    version_addendum: str | None
    ip_qos: tuple[int | None, int | None]
    """Differentiated services fields for interactive and for other sessions; None leaves the system's."""
    connect_timeout: int | None
    """Bounds connecting, version exchange and key exchange; None is no bound of ours."""
    connection_attempts: int
    tcp_keep_alive: bool
    server_alive_interval: int
    server_alive_count_max: int
    reconnect: bool
    """Whether to connect again when a connection that stood is lost."""

    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    kex_algorithms: tuple[str, ...]
    host_key_algorithms: tuple[str, ...]
    host_key_algorithms_default: bool
    """Whether HostKeyAlgorithms was left alone, or only added to or taken from, so that known_hosts may reorder
    it."""
    compression: bool
    rekey_limit: tuple[int, int]
    """Bytes (0: the cipher's own limit) and seconds (0: never by time)."""
    required_rsa_size: int
    warn_weak_crypto: Literal["yes", "no", "no-pq-kex"]

    strict_host_key_checking: Literal["yes", "no", "ask", "accept-new"]
    user_known_hosts_files: tuple[str, ...]
    global_known_hosts_files: tuple[str, ...]
    hash_known_hosts: bool
    fingerprint_hash: Literal["sha256", "md5"]
    check_host_ip: bool
    no_host_authentication_for_localhost: bool
    known_hosts_command: str | None
    """As configured, its tokens unexpanded: some of them are known only when the host shows its key."""
    revoked_host_keys: tuple[str, ...]
    update_host_keys: Literal["yes", "no", "ask"]
    verify_host_key_dns: Literal["yes", "no", "ask"]
    visual_host_key: bool
    ca_signature_algorithms: tuple[str, ...]

    pubkey_authentication: bool
    pubkey_host_bound: bool
    """Whether proofs of a key may be bound to the host's: PubkeyAuthentication is not "unbound"."""
    pubkey_accepted_algorithms: tuple[str, ...]
    identities: tuple[Identity, ...]
    certificate_files: tuple[str, ...]
    identities_only: bool
    identity_agent: str | None
    """The agent's socket, None for no agent."""
    add_keys_to_agent: tuple[Literal["no", "yes", "ask", "confirm"], int | None]
    """How, and for how many seconds; None is for as long as the agent runs."""
    pkcs11_provider: str | None
    security_key_provider: str | None
    """A library's path, "internal", or None for no use of security keys."""
    hostbased_authentication: bool
    hostbased_accepted_algorithms: tuple[str, ...]
    enable_ssh_keysign: bool
    gssapi_authentication: bool
    gssapi_delegate_credentials: bool
    gssapi_client_identity: str | None
    gssapi_server_identity: str | None
    gssapi_trust_dns: bool
    password_authentication: bool
    kbd_interactive_authentication: bool
    kbd_interactive_devices: str
    """Devices of keyboard-interactive to ask for, a comma between them; empty leaves it to the server."""
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
    fork_after_authentication: bool
    permit_local_command: bool
    local_command: str | None
    """As configured, its tokens unexpanded: the tunnel's device is known only once it stands."""
    escape_char: int | None
    """The byte, or None for no escapes."""
    enable_escape_commandline: bool
    obscure_keystroke_timing: int
    """Milliseconds between ticks; 0 is off."""
    channel_timeouts: tuple[tuple[str, int], ...]
    """A pattern of channel types, and the seconds after which an idle one is closed."""
    session_record: str | None
    """The file that a session with a terminal is recorded in, which is not there yet; None for no recording."""
    session_record_input: bool
    """Whether keys are recorded too."""

    local_forwards: tuple[Forward, ...]
    """LocalForward and DynamicForward, in the order given."""
    remote_forwards: tuple[Forward, ...]
    stdio_forward: Forward | None
    """What -W connects stdin and stdout to."""
    exit_on_forward_failure: bool
    gateway_ports: bool
    permit_remote_open: tuple[str, ...]
    """HOST:PORT pairs, or "any" or "none" alone."""
    stream_local_bind_mask: int
    stream_local_bind_unlink: bool
    forward_agent: str | None
    """A socket's path or $NAME, "yes" for the agent that we use ourselves, None for no forwarding."""
    forward_x11: bool
    forward_x11_timeout: int
    forward_x11_trusted: bool
    xauth_location: str
    tunnel: Literal["no", "point-to-point", "ethernet"]
    tunnel_device: tuple[int | None, int | None]
    """Local and remote device; None for any."""

    control_master: Literal["no", "yes", "ask", "auto", "autoask"]
    control_path: str | None
    control_persist: tuple[bool, int]
    """Whether the master stays, and for how many idle seconds (0: without end)."""

    log_level: int
    """A rank of log.LOG_LEVELS."""
    log_verbose: tuple[str, ...]
    syslog_facility: str
    tag: str
    tokens: Tokens
    """The %-tokens of this connection, for what is expanded later."""
