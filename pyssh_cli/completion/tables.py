"""What completions offer of flags, keywords and algorithms, as text that loads at once.

Written by scripts/completion_tables.py from the tables themselves: change those, and run it.
"""

from __future__ import annotations

# fmt: off
FLAGS: dict[str, tuple[str, str]] = {
    "-1": ("", "Protocol version 1, which is no longer supported"),
    "-2": ("", "Protocol version 2, the only one there is"),
    "-4": ("", "Use IPv4 addresses only"),
    "-6": ("", "Use IPv6 addresses only"),
    "-A": ("", "Forward the agent"),
    "-a": ("", "Do not forward the agent"),
    "-B": ("bind_interface", "Connect through this network interface"),
    "-b": ("bind_address", "Connect from this local address"),
    "-C": ("", "Compress"),
    "-c": ("cipher_spec", "Ciphers, best first; + adds, ^ puts first"),
    "-D": ("[bind_address:]port", "A SOCKS server here that connects from there"),
    "-E": ("log_file", "Append messages to this file instead of stderr"),
    "-e": ("escape_char", "The escape character, ^ and a letter, or none (default ~)"),
    "-F": ("configfile", "Read this configuration file only; none reads no file"),
    "-f": ("", "Go to the background before the command runs"),
    "-G": ("", "Print the configuration; with -v, where it comes from"),
    "-g": ("", "Let other hosts connect to forwarded ports"),
    "-I": ("pkcs11", "A PKCS#11 library with keys"),
    "-i": ("identity_file", "A private key to authenticate with; may be repeated"),
    "-J": ("[user@]host[:port]", "Connect through these hosts, commas between them"),
    "-K": ("", "Authenticate and delegate by GSSAPI"),
    "-k": ("", "Do not delegate GSSAPI credentials"),
    "-L": ("address", "Forward a local port or socket"),
    "-l": ("login_name", "The user to log in as"),
    "-M": ("", "Be the master of a shared connection"),
    "-m": ("mac_spec", "MACs, best first"),
    "-N": ("", "Run no remote command"),
    "-n": ("", "Take stdin from /dev/null"),
    "-O": ("ctl_cmd", "Control the master of a shared connection"),
    "-o": ("option", "A line of configuration, as in -o Port=2200; repeatable"),
    "-P": ("tag", "The tag that Match tagged compares"),
    "-p": ("port", "The port to connect to"),
    "-Q": ("query_option", "List what is supported: cipher, mac, kex, key, ... or help"),
    "-q": ("", "Say nothing but what the remote side says"),
    "-R": ("address", "Forward a remote port or socket"),
    "-S": ("ctl_path", "The socket of a shared connection"),
    "-s": ("", "The command is a subsystem's name"),
    "-T": ("", "Ask for no terminal"),
    "-t": ("", "Ask for a terminal; twice, even without one here"),
    "-V": ("", "Print the version on stderr, as ssh does, and exit"),
    "-v": ("", "Say what happens; up to three times"),
    "-W": ("host:port", "Connect stdin and stdout to a place over there"),
    "-w": ("local_tun[:remote_tun]", "A tunnel between network devices"),
    "-X": ("", "Forward X11"),
    "-x": ("", "Do not forward X11"),
    "-Y": ("", "Forward X11 and trust it"),
    "-y": ("", "Send messages to syslog"),
    "-Z": ("", "List the keys that would be tried and exit"),
    "--pick": ("", "Choose the host from a list, by typing a part of it"),
    "--diagnose": ("", "Tell how a login would go, and what to change"),
    "--json": ("", "With --diagnose: print one JSON object"),
    "--complete": ("shell", "Print what sets up Tab completion in bash, zsh or fish"),
    "--help": ("", "Show this and exit"),
    "--version": ("", "Show the version and exit"),
}
"""Every flag: the name of its argument, empty for none, and what it is for."""

KEYWORDS: dict[str, str] = {
    "AddKeysToAgent": "yes no ask confirm",
    "AddressFamily": "inet inet6 any",
    "BatchMode": "yes no",
    "BindAddress": "<address>",
    "BindInterface": "<interface>",
    "CanonicalDomains": "none",
    "CanonicalizeFallbackLocal": "yes no",
    "CanonicalizeHostname": "yes no always",
    "CanonicalizeMaxDots": "",
    "CanonicalizePermittedCNAMEs": "none",
    "CASignatureAlgorithms": "<+-^ca-key>",
    "CertificateFile": "none <file>",
    "ChannelTimeout": (
        "none global= session= direct-tcpip= direct-streamlocal@openssh.com= forwarded-tcpip= "
        "forwarded-streamlocal@openssh.com= agent-connection= tun-connection= x11-connection="
    ),
    "CheckHostIP": "yes no",
    "Ciphers": "<+-^cipher>",
    "ClearAllForwardings": "yes no",
    "Compression": "yes no",
    "ConnectionAttempts": "",
    "ConnectTimeout": "none",
    "ControlMaster": "yes no ask auto autoask",
    "ControlPath": "none <file>",
    "ControlPersist": "yes no",
    "DynamicForward": "",
    "EnableEscapeCommandline": "yes no",
    "EnableSSHKeysign": "yes no",
    "EscapeChar": "<escape>",
    "ExitOnForwardFailure": "yes no",
    "FingerprintHash": "sha256 md5",
    "ForkAfterAuthentication": "yes no",
    "ForwardAgent": "yes no <file>",
    "ForwardX11": "yes no",
    "ForwardX11Timeout": "",
    "ForwardX11Trusted": "yes no",
    "GatewayPorts": "yes no",
    "GlobalKnownHostsFile": "none <file>",
    "GSSAPIAuthentication": "yes no",
    "GSSAPIClientIdentity": "",
    "GSSAPIDelegateCredentials": "yes no",
    "GSSAPIKexAlgorithms": "<gss-kex>",
    "GSSAPIKeyExchange": "yes no",
    "GSSAPIRenewalForcesRekey": "yes no",
    "GSSAPIServerIdentity": "",
    "GSSAPITrustDns": "yes no",
    "HashKnownHosts": "yes no",
    "HostbasedAcceptedAlgorithms": "<+-^key>",
    "HostbasedAuthentication": "yes no",
    "HostKeyAlgorithms": "<+-^key>",
    "HostKeyAlias": "<host>",
    "Hostname": "<host>",
    "IdentitiesOnly": "yes no",
    "IdentityAgent": "none SSH_AUTH_SOCK <file>",
    "IdentityFile": "none <file>",
    "IgnoreUnknown": "",
    "IPQoS": (
        "none af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43 cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7 ef "
        "le va"
    ),
    "KbdInteractiveAuthentication": "yes no",
    "KbdInteractiveDevices": "",
    "KexAlgorithms": "<+-^kex>",
    "KnownHostsCommand": "none <file>",
    "LocalCommand": "none <file>",
    "LocalForward": "",
    "LogLevel": "QUIET FATAL ERROR INFO VERBOSE DEBUG DEBUG1 DEBUG2 DEBUG3",
    "LogVerbose": "none",
    "MACs": "<+-^mac>",
    "NoHostAuthenticationForLocalhost": "yes no",
    "NumberOfPasswordPrompts": "",
    "ObscureKeystrokeTiming": "yes no interval:20",
    "PasswordAuthentication": "yes no",
    "PermitLocalCommand": "yes no",
    "PermitRemoteOpen": "any none <place>",
    "PKCS11Provider": "none <file>",
    "Port": "<port>",
    "PreferredAuthentications": "<authentication>",
    "Proxy": "none http:// socks5:// socks5h://",
    "ProxyCommand": "none <file>",
    "ProxyJump": "none <hops>",
    "ProxyUseFdpass": "yes no",
    "PubkeyAcceptedAlgorithms": "<+-^user-key>",
    "PubkeyAuthentication": "yes no unbound host-bound",
    "Reconnect": "yes no",
    "RefuseConnection": "",
    "RekeyLimit": "default",
    "RemoteCommand": "none",
    "RemoteForward": "",
    "RequestTTY": "yes no force auto",
    "RequiredRSASize": "",
    "RevokedHostKeys": "none <file>",
    "SecurityKeyProvider": "internal none <file>",
    "SendEnv": "<variable>",
    "ServerAliveCountMax": "",
    "ServerAliveInterval": "none",
    "SessionRecord": "none <file>",
    "SessionRecordInput": "yes no",
    "SessionType": "none subsystem default",
    "SetEnv": "<setting>",
    "StdinNull": "yes no",
    "StreamLocalBindMask": "",
    "StreamLocalBindUnlink": "yes no",
    "StrictHostKeyChecking": "yes no ask accept-new",
    "SyslogFacility": "DAEMON USER AUTH AUTHPRIV LOCAL0 LOCAL1 LOCAL2 LOCAL3 LOCAL4 LOCAL5 LOCAL6 LOCAL7",
    "Tag": "<tag>",
    "TCPKeepAlive": "yes no",
    "Tunnel": "ethernet point-to-point yes no",
    "TunnelDevice": "<device>",
    "UpdateHostKeys": "yes no ask",
    "User": "<user>",
    "UserKnownHostsFile": "none <file>",
    "VerifyHostKeyDNS": "yes no ask",
    "VersionAddendum": "none",
    "VisualHostKey": "yes no",
    "WarnWeakCrypto": "yes no no-pq-kex",
    "XAuthLocation": "<file>",
}
"""Every keyword in the manual's spelling: the words it takes; what is to be found, in angle brackets."""

ALIASES: dict[str, str] = {
    "hostbasedkeytypes": "HostbasedAcceptedAlgorithms",
    "identityfile2": "IdentityFile",
    "challengeresponseauthentication": "KbdInteractiveAuthentication",
    "skeyauthentication": "KbdInteractiveAuthentication",
    "tisauthentication": "KbdInteractiveAuthentication",
    "smartcarddevice": "PKCS11Provider",
    "pubkeyacceptedkeytypes": "PubkeyAcceptedAlgorithms",
    "dsaauthentication": "PubkeyAuthentication",
    "protocolkeepalives": "ServerAliveInterval",
    "setuptimeout": "ServerAliveInterval",
    "keepalive": "TCPKeepAlive",
}
"""Other names that are taken for a keyword, in lower case."""

LISTS: dict[str, str] = {
    "cipher": (
        "3des-cbc aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr aes128-gcm@openssh.com "
        "aes256-gcm@openssh.com chacha20-poly1305@openssh.com"
    ),
    "mac": (
        "hmac-sha1 hmac-sha1-96 hmac-sha2-256 hmac-sha2-512 hmac-md5 hmac-md5-96 umac-64@openssh.com "
        "umac-128@openssh.com hmac-sha1-etm@openssh.com hmac-sha1-96-etm@openssh.com "
        "hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-md5-etm@openssh.com "
        "hmac-md5-96-etm@openssh.com umac-64-etm@openssh.com umac-128-etm@openssh.com"
    ),
    "kex": (
        "diffie-hellman-group1-sha1 diffie-hellman-group14-sha1 diffie-hellman-group14-sha256 "
        "diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 diffie-hellman-group-exchange-sha1 "
        "diffie-hellman-group-exchange-sha256 ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521 "
        "curve25519-sha256 curve25519-sha256@libssh.org sntrup761x25519-sha512 "
        "sntrup761x25519-sha512@openssh.com mlkem768x25519-sha256"
    ),
    "key": (
        "ssh-ed25519 ssh-ed25519-cert-v01@openssh.com sk-ssh-ed25519@openssh.com "
        "sk-ssh-ed25519-cert-v01@openssh.com ecdsa-sha2-nistp256 ecdsa-sha2-nistp256-cert-v01@openssh.com "
        "ecdsa-sha2-nistp384 ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521 "
        "ecdsa-sha2-nistp521-cert-v01@openssh.com sk-ecdsa-sha2-nistp256@openssh.com "
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com webauthn-sk-ecdsa-sha2-nistp256@openssh.com "
        "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com ssh-rsa ssh-rsa-cert-v01@openssh.com "
        "rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com rsa-sha2-512 rsa-sha2-512-cert-v01@openssh.com "
        "ssh-mldsa44-ed25519@openssh.com ssh-mldsa44-ed25519-cert-v01@openssh.com"
    ),
    "user-key": (
        "ssh-ed25519 ssh-ed25519-cert-v01@openssh.com sk-ssh-ed25519@openssh.com "
        "sk-ssh-ed25519-cert-v01@openssh.com ecdsa-sha2-nistp256 ecdsa-sha2-nistp256-cert-v01@openssh.com "
        "ecdsa-sha2-nistp384 ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521 "
        "ecdsa-sha2-nistp521-cert-v01@openssh.com sk-ecdsa-sha2-nistp256@openssh.com "
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com webauthn-sk-ecdsa-sha2-nistp256@openssh.com "
        "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com ssh-rsa ssh-rsa-cert-v01@openssh.com "
        "rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com rsa-sha2-512 rsa-sha2-512-cert-v01@openssh.com "
        "ssh-mldsa44-ed25519@openssh.com ssh-mldsa44-ed25519-cert-v01@openssh.com"
    ),
    "ca-key": (
        "ssh-ed25519 sk-ssh-ed25519@openssh.com ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 "
        "sk-ecdsa-sha2-nistp256@openssh.com webauthn-sk-ecdsa-sha2-nistp256@openssh.com ssh-rsa rsa-sha2-256 "
        "rsa-sha2-512 ssh-mldsa44-ed25519@openssh.com"
    ),
    "gss-kex": (
        "gss-group14-sha256- gss-group16-sha512- gss-nistp256-sha256- gss-curve25519-sha256- "
        "gss-group14-sha1- gss-gex-sha1-"
    ),
    "authentication": "gssapi-with-mic hostbased publickey keyboard-interactive password",
}
"""What stands in lists with commas."""

DEFAULTS: dict[str, str] = {
    "cipher": (
        "aes128-ctr aes128-gcm@openssh.com aes192-ctr aes256-ctr aes256-gcm@openssh.com "
        "chacha20-poly1305@openssh.com"
    ),
    "mac": (
        "hmac-sha1 hmac-sha1-etm@openssh.com hmac-sha2-256 hmac-sha2-256-etm@openssh.com hmac-sha2-512 "
        "hmac-sha2-512-etm@openssh.com umac-128-etm@openssh.com umac-128@openssh.com umac-64-etm@openssh.com "
        "umac-64@openssh.com"
    ),
    "kex": (
        "curve25519-sha256 curve25519-sha256@libssh.org diffie-hellman-group-exchange-sha256 "
        "diffie-hellman-group14-sha256 diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 "
        "ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521 mlkem768x25519-sha256 "
        "sntrup761x25519-sha512 sntrup761x25519-sha512@openssh.com"
    ),
    "key": (
        "ecdsa-sha2-nistp256 ecdsa-sha2-nistp256-cert-v01@openssh.com ecdsa-sha2-nistp384 "
        "ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521 "
        "ecdsa-sha2-nistp521-cert-v01@openssh.com rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com rsa-sha2-512 "
        "rsa-sha2-512-cert-v01@openssh.com sk-ecdsa-sha2-nistp256-cert-v01@openssh.com "
        "sk-ecdsa-sha2-nistp256@openssh.com sk-ssh-ed25519-cert-v01@openssh.com sk-ssh-ed25519@openssh.com "
        "ssh-ed25519 ssh-ed25519-cert-v01@openssh.com webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com "
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
    ),
    "user-key": (
        "ecdsa-sha2-nistp256 ecdsa-sha2-nistp256-cert-v01@openssh.com ecdsa-sha2-nistp384 "
        "ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521 "
        "ecdsa-sha2-nistp521-cert-v01@openssh.com rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com rsa-sha2-512 "
        "rsa-sha2-512-cert-v01@openssh.com sk-ecdsa-sha2-nistp256-cert-v01@openssh.com "
        "sk-ecdsa-sha2-nistp256@openssh.com sk-ssh-ed25519-cert-v01@openssh.com sk-ssh-ed25519@openssh.com "
        "ssh-ed25519 ssh-ed25519-cert-v01@openssh.com webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com "
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
    ),
    "ca-key": (
        "ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-256 rsa-sha2-512 "
        "sk-ecdsa-sha2-nistp256@openssh.com sk-ssh-ed25519@openssh.com ssh-ed25519"
    ),
}
"""Those of them that a list has when nothing is said."""

WORDS: dict[str, str] = {
    "control": "cancel check exit forward proxy stop conninfo channels",
    "query": (
        "cipher cipher-auth compression kex kex-gss key key-ca-sign key-cert key-plain key-sig mac "
        "protocol-version sig help CASignatureAlgorithms Ciphers HostbasedAcceptedAlgorithms "
        "HostKeyAlgorithms KexAlgorithms MACs PubkeyAcceptedAlgorithms"
    ),
}
"""What -O and -Q take."""
