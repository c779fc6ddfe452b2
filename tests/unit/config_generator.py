"""Generated configurations and command lines for the comparison with `ssh -G`: every keyword, criterion and flag.

The examples are written by ssh(1) and ssh_config(5) alone, and know nothing of pyssh's own tables and parsers.
A seed and a number make a case, the same one every time. Nothing in a case needs a name looked up, and the
commands of `Match exec` do no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

DIRECTORY = "@DIR@"
"""Stands for the case's own directory, in files and arguments; the main file is `config` in it."""

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "HOME": "/nonexistent/home", "LANG": "C.UTF-8", "T_NAME": "name",
    "T_DIR": "/tmp/t dir", "T_EMPTY": "", "SSH_AUTH_SOCK": "/nonexistent/agent",
}  # fmt: skip
"""The whole environment that a case runs in."""


class Case(NamedTuple):
    """One comparison. `files` are the lines of each file by its name; `arguments` groups of words that belong
    together, for the minimiser; `covers` what the case was made to have in it: "port", "-p", "Match user"."""

    seed: str
    files: dict[str, list[str]]
    arguments: list[list[str]]
    covers: frozenset[str]

    def __str__(self) -> str:
        """The case as one reads it, and may paste it."""
        shown = [f"seed {self.seed}: ssh -G {' '.join(repr(word) for word in self.words())}"]
        for name, lines in self.files.items():
            shown += [f"  --- {name}", *(f"  {line!r}" for line in lines)]
        return "\n".join(shown)

    def words(self) -> list[str]:
        """The arguments behind -G."""
        return [word for group in self.arguments for word in group]


# Examples stand between bars: those that the manual allows, then those that it does not, as they stand in a file.
_FLAG = ("yes|no|true|false|YES|No", "maybe|on|1|yes,no|nonsense|yes no|-1")
_TEXT = ("word|a.b|%h|${T_NAME}|none|UPPER|'in quotes'|\"a b\"|a#b|é|\\\\", "a b|''|'a b' c|\"")
_NUMBER = ("0|1|2|7|007|100|2147483647|+3", "-1|x|1.5|2147483648|99999999999999999999|0x10|1k|1 2|''|1e3")
_TIME = (
    "0|1|30|90s|2m|1h30m|1d|1w2d3h4m5s|10M|2H|none|007|2147483647",
    "-1|x|5x|m|1.5h|2147483648|99999999999|9999999w|''|5 m|NONE|1h,2m|m5",
)
_PATH = (
    '/a/b|~/c|~root/d|%d/e-%h-%n-%p-%r-%u|/f/%C|%%x|${T_DIR}/g|rel/h|none|"/q r/s"|%i-%k-%L-%l|~|NONE',
    "%x|%|${T_UNSET}|${T_|a b|''|%H|~nosuchuser/x|%T|${}|$T_NAME|a none|${T NAME}",
)
_COMMAND = (
    "true|nc -x 'a  b' %h %p|sh -c \"echo %n\" # no comment|none|None|/x/y  z|%%|%r@%h|a=b|'quoted'",
    "%x|%|\"open|%K %t %f|${T_NAME}|'it''s|\\\"",
)
_FORWARD = (
    "8080 host:80|127.0.0.1:8080 host:80|[::1]:8080 [::2]:80|*:8080 h:http|:8080 h:80|/a/l.sock h:80|8080 /b.sock"
    "|/a.sock /b.sock|localhost/8080 h/80|/s-%h-%p h:1|${T_DIR}/s /x|1 h:1|65535 h:65535|022 h:022|[h]:1 [k]:2"
    "|a.b:1 c.d:2|8080 localhost:ssh|::1/8080 ::2/80|%h:1 h:2|/a:b h:3|9:h:80 x:1|1:2 3:4",
    "8080|8080 h|x h:80|8080 h:x|65536 h:80|8080 h:65536|8080 h:80 extra|-1 h:1|a:b:c:d:e h:1|8080 :80|[::1 h:80"
    "|8080 h:0|::1:80 h:80|'' h:1|8080 ''|host:80 8080|/%x h:1|${T_UNSET}/a h:1|8080:h:80|8080 [::1]|%p h:1"
    "|8080 h:-1",
)
_KEY_LIST = (
    "ssh-ed25519|rsa-sha2-512,ssh-ed25519|+ssh-rsa|-ssh-*|^rsa-sha2-256|ecdsa-*|*|-*nist*,rsa*"
    "|ssh-ed25519,ssh-ed25519"
    "|+ssh-ed25519-cert-v01@openssh.com|^ecdsa-sha2-nistp521,rsa-*|rsa-sha2-*,ecdsa-sha2-nistp???|-nonsense"
    "|ssh-ed25519,",
    "nonsense|+nonsense|^x*|ssh-ed25519,nonsense|-|+|''|ssh-ed25519 rsa-sha2-256|,ssh-ed25519|SSH-ED25519"
    "|ssh-ed25519,,x|zz*",
)

VALUES: dict[str, tuple[str, str]] = {
    "AddKeysToAgent": ("yes|no|ask|confirm|5m|1h30m|confirm 5m|CONFIRM 10|True|0|confirm 1w2d",
                       "maybe|yes 5m|5x|ask 5m|confirm x|confirm 5m 6m|-1|no no|''|confirm 0|confirm ''"),
    "AddressFamily": ("any|inet|inet6|INET|Any", "ipv4|4|inet4|inet,inet6|''|any any"),
    "BatchMode": _FLAG,
    "BindAddress": ("127.0.0.1|::1|[::1]|localhost|*|0.0.0.0", _TEXT[1]),
    "BindInterface": ("lo|eth0|none|%h", _TEXT[1]),
    "CanonicalDomains": ("none|example.org|a.org b.org|x_y.z-w.org|1.2.3|NONE|a. b.",
                         "none a.org|..|.org|-x.org|a..b|a,b|''|a.org none|a/b|é.org|*"),
    "CanonicalizeFallbackLocal": _FLAG,
    "CanonicalizeHostname": ("yes|no|always|true|FALSE|Always", "maybe|none|1|yes no|never"),
    "CanonicalizeMaxDots": _NUMBER,
    "CanonicalizePermittedCNAMEs": ("none|*.a.org:*.b.org|*.a.org,c:*.b.org,d *:x|*|NONE|A.Org:B.Org",
                                    "a.org|:b|a:|none a:b|a:b none|''|a:b:c|* a:b|:"),
    "CASignatureAlgorithms": _KEY_LIST,
    "CertificateFile": _PATH,
    "ChannelTimeout": ("session=5m|session=1h x11-connection=30s|none|global=10|*=0|direct-*=1d", ""),
    "CheckHostIP": _FLAG,
    "Ciphers": ("aes128-ctr|aes256-gcm@openssh.com,aes128-ctr|+aes128-cbc|-aes*|^aes256-ctr|+3des-cbc|-nonsense"
                "|chacha20-poly1305@openssh.com|-*gcm*,*ctr|aes128-ctr,aes128-ctr|+aes128-ctr|aes256-ctr,",
                "nonsense|aes128-ctr,nonsense|+nonsense|^nonsense|aes*|-|''|aes128-ctr aes256-ctr|AES128-CTR|,"),
    "ClearAllForwardings": _FLAG,
    "Compression": ("yes|no|YES", "true|false|maybe|6|''|yes no"),
    "ConnectionAttempts": _NUMBER,
    "ConnectTimeout": _TIME,
    "ControlMaster": ("yes|no|ask|auto|autoask|true|False|AUTO", "maybe|none|1|auto ask|''"),
    "ControlPath": _PATH,
    "ControlPersist": ("yes|no|0|5m|10|1h|true|false|YES|1w", "maybe|-1|5x|none|yes no|''|2147483648"),
    "DynamicForward": ("1080|127.0.0.1:1080|[::1]:1080|*:1080|:1080|localhost/1080|localhost:socks|65535|1|h:022",
                       "x|0|65536|-1|''|a:b|::1:1080|1080 h:1|[::1:1080|/a.sock|1080:h:80|h:|1080 x|%p"),
    "EnableEscapeCommandline": _FLAG,
    "EnableSSHKeysign": _FLAG,
    "EscapeChar": ("~|none|^A|^z|^[|^@|^_|x|#x|-|'#'|^?|\\\\", "xx|^|^^^|NONE|''|~ ~|^1|é|~~|None"),
    "ExitOnForwardFailure": _FLAG,
    "FingerprintHash": ("sha256|md5|SHA256|Md5", "sha|foo|sha3-256|''|md5 sha256|none"),
    "ForkAfterAuthentication": _FLAG,
    "ForwardAgent": ("yes|no|true|/run/agent|$T_NAME|~/agent|FALSE|${T_DIR}/a",
                     "''|yes no|$|maybe|$T-NAME|%x|${T_UNSET}"),
    "ForwardX11": _FLAG,
    "ForwardX11Timeout": _TIME,
    "ForwardX11Trusted": _FLAG,
    "GatewayPorts": _FLAG,
    "GlobalKnownHostsFile": ("/a|/a /b|none|~/k|'/a b' c|NONE|%h|/a#b|~root/x",
                             "/a none|''|none /a|/a ''|~nosuchuser/x"),
    "GSSAPIAuthentication": _FLAG,
    "GSSAPIClientIdentity": _TEXT,
    "GSSAPIDelegateCredentials": _FLAG,
    "GSSAPIKexAlgorithms": ("gss-gex-sha1-|gss-group14-sha256-,gss-group16-sha512-|gss-curve25519-sha256-",
                            "nonsense|gss-gex-sha1|''|gss-gex-sha1-,x|gss-* x"),
    "GSSAPIKeyExchange": _FLAG,
    "GSSAPIRenewalForcesRekey": _FLAG,
    "GSSAPIServerIdentity": _TEXT,
    "GSSAPITrustDns": _FLAG,
    "HashKnownHosts": _FLAG,
    "HostbasedAcceptedAlgorithms": _KEY_LIST,
    "HostbasedAuthentication": _FLAG,
    "HostKeyAlgorithms": _KEY_LIST,
    "HostKeyAlias": ("alias|ALIAS.Example|%h|'a b'|none", _TEXT[1]),
    "Hostname": ("real.example|REAL.Example|%h.example.org|192.0.2.1|::1|a%%b|[::1]|%h%h|fe80::1%%lo|host.",
                 "%x|''|a b|%n|%|${T_NAME}"),
    "IdentitiesOnly": _FLAG,
    "IdentityAgent": ("none|SSH_AUTH_SOCK|/a/sock|~/b/%h|$T_NAME|${T_DIR}/c|$T_UNSET|%d/x|rel|NONE|${T_EMPTY}",
                      "${T_UNSET}|$|$T-NAME|''|%x|a b|${T_|$1a|~nosuchuser/x|${}"),
    "IdentityFile": _PATH,
    "IgnoreUnknown": ("Foo*|foo,bar|*|F*,!Foo|Unknown*|FOO", "''|a b|,"),
    "IPQoS": ("af11|af21 cs1|ef|none|le cs0|0x10|8|AF43|cs7 none|255|EF CS6|010|0|0xff 1",
              "foo|256|-1|ef ef ef|''|af44|cs8|af11,af12|ef foo|1x|0x"),
    "KbdInteractiveAuthentication": _FLAG,
    "KbdInteractiveDevices": ("pam|bsdauth,pam|none", _TEXT[1]),
    "KexAlgorithms": ("curve25519-sha256|curve25519-sha256@libssh.org,ecdh-sha2-nistp256|-*sha1,*nist*"
                      "|^ecdh-sha2-nistp521"
                      "|+diffie-hellman-group14-sha1|-nonsense|diffie-hellman-group16-sha512|+curve25519-sha256"
                      "|ecdh-sha2-nistp384,ecdh-sha2-nistp384",
                      "nonsense|curve*|+nonsense|''|curve25519-sha256,x|-|curve25519-sha256 x|^"
                      "|CURVE25519-SHA256"),
    "KnownHostsCommand": ("/bin/true|/bin/cat %f %H %I %K %t|none|/bin/echo 'a  b' %h|/x/%n %C # y|NONE",
                          "true|%x|relative/path|''|/bin/true \"|${T_NAME}|\"/bin/true\""),
    "LocalCommand": _COMMAND,
    "LocalForward": _FORWARD,
    "LogLevel": ("QUIET|FATAL|ERROR|INFO|VERBOSE|info|Verbose|silent", "LOUD|1|''|INFO ERROR|debug4|DEBUG0"),
    "LogVerbose": ("none|kex.c:*:1000|*|a.c:*,b.c:* x.c|NONE", "none x|''|x none|a ''"),
    "MACs": ("hmac-sha2-256|hmac-sha2-512,hmac-sha2-256|-*sha1*,umac*|^hmac-sha2-512|+hmac-md5"
             "|hmac-sha2-256-etm@openssh.com"
             "|-*etm*|+hmac-sha2-256|-nonsense",
             "nonsense|hmac-*|+nonsense|''|hmac-sha2-256,x|-|hmac-sha2-256 x|^"),
    "NoHostAuthenticationForLocalhost": _FLAG,
    "NumberOfPasswordPrompts": _NUMBER,
    "ObscureKeystrokeTiming": ("yes|no|interval:50", ""),
    "PasswordAuthentication": _FLAG,
    "PermitLocalCommand": _FLAG,
    "PermitRemoteOpen": ("any|none|host:80|host:80 [::1]:443|*:*|1.2.3.4:* *:22|ANY|None|h:ssh|h:65535|h:022",
                         "host|any host:80|host:80 any|:80|host:x|host:0|host:65536|''|::1:80|none none|h:|h/80"
                         "|[::1]"),
    "PKCS11Provider": ("/usr/lib/pkcs11.so|none|~/p.so|NONE|$T_NAME|${T_DIR}/p", _TEXT[1]),
    "Port": ("22|1|65535|022|2222|ssh|0022|+22", "0|65536|-1|x|''|22 23|1e3|0x16|22,23|nosuchservice|22x"),
    "PreferredAuthentications": ("publickey|publickey,password|hostbased,nonsense|none", _TEXT[1]),
    "ProxyCommand": _COMMAND,
    "ProxyJump": ("jump|u@jump:2222|a,b,c|none|ssh://u@j:22|u@a:1,ssh://b:2|[::1]:22|%h|NONE|u@[::1]"
                  "|ssh://[::1]:22|a@b@c|j:022|j:ssh",
                  "u@|:22|a,,b|a:x|a:0|ssh://a/b|''|a,|a b|none,a|-x|a;b|ssh://|a:65536|::1|[::1|u@h:|a,none|,a"),
    "ProxyUseFdpass": _FLAG,
    "PubkeyAcceptedAlgorithms": _KEY_LIST,
    "PubkeyAuthentication": ("yes|no|unbound|host-bound|true|HOST-BOUND|False", "maybe|bound|yes no|''"),
    "Reconnect": ("yes|no|true|FALSE", ""),
    "RefuseConnection": ("away|\"use the other\"", ""),
    "RekeyLimit": ("1G|500M 1h|default none|default 3600|16|1K|2g 30m|1.5G|0|1T|default 1w|4096k none|1M 0|.5G"
                   "|1G ''|16B",
                   "x|1|15|-1|1X|1G x|''|1G 1h extra|none|99999999999G|1 G|1GB|default default|0x10|1e6|none none"
                   "|DEFAULT|1G NONE|8E"),
    "RemoteCommand": _COMMAND,
    "RemoteForward": (_FORWARD[0] + "|1080|0 h:80|127.0.0.1:1080|/a.sock|[::1]:0|*:0 h:1",
                      _FORWARD[1] + "|x|-1|h:|65536"),
    "RequestTTY": ("yes|no|force|auto|true|FORCE|False", "maybe|1|ask|yes no|''"),
    "RequiredRSASize": _NUMBER,
    "RevokedHostKeys": ("/a/krl|none|~/k|'/a b'|~root/k|NONE", "''|\""),
    "SecurityKeyProvider": ("internal|/usr/lib/sk.so|$T_NAME|$T_UNSET|none|~/x|${T_DIR}/sk", _TEXT[1] + "|$"),
    "SendEnv": ("LANG|LC_* A|A B C|A -A|-X|* -LC_*|A A|LANG -*|A?C -A??|-|%h|É", "A=B|''|A ''|A B=C|-A=B"),
    "ServerAliveCountMax": _NUMBER,
    "ServerAliveInterval": _TIME,
    "SessionRecord": ("/a/cast|none|~/b/%h-%n|%d/%C|${T_DIR}/c|'/q r'|NONE", ""),
    "SessionRecordInput": ("yes|no|true|FALSE", ""),
    "SessionType": ("default|none|DEFAULT", "subsystem|shell|''|none default|exec"),
    "SetEnv": ("A=b|A=b C=d|A=|A=b=c|'A=b c'|A='b c'|A=1 A=2|A=%h|\"X=a \\\"q\\\"\"|É=é",
               "A|=b|''|A=b C|A b|A=1 =2"),
    "StdinNull": _FLAG,
    "StreamLocalBindMask": ("0177|0000|777|0|077|0777|00000022", "9|01777|-1|x|''|0177 0|0x7|1000|08|7 7|+7"),
    "StreamLocalBindUnlink": _FLAG,
    "StrictHostKeyChecking": ("yes|no|ask|accept-new|off|true|ACCEPT-NEW|False", "maybe|on|accept|yes no|''"),
    "SyslogFacility": ("DAEMON|USER|AUTH|local0|LOCAL7|Daemon|AUTHPRIV", "LOCAL8|KERN|1|''|USER AUTH|MAIL"),
    "Tag": ("blue|'a b'|none", ""),
    "TCPKeepAlive": _FLAG,
    "Tunnel": ("yes|no|point-to-point|ethernet|true|ETHERNET|False", "maybe|1|layer2|yes no|''|tun"),
    "TunnelDevice": ("any|0|any:any|0:1|3:any|any:7|100|0:0",
                     "x|-1|1:x|''|1:2:3|ANY|:1|1:|any any|99999999999|2147483647|2147483646"),
    "UpdateHostKeys": ("yes|no|ask|true|Ask", "maybe|1|yes ask|''"),
    "User": ("me|'a b'|a@b|ME|a\\\\b|none|é", "''|a b"),
    "UserKnownHostsFile": ("/a|/a ~/b|none|'/a b' c|%d/%h|~/.ssh/%n-%p-%r|${T_DIR}/k|/%C|NONE|/%% x"
                           "|%k/%i/%u/%L/%l",
                           "/a none|''|%x|${T_UNSET}|none /a|${T_|%|%H|/a ''"),
    "VerifyHostKeyDNS": ("yes|no|ask|true|ASK", "maybe|1|yes ask|''"),
    "VersionAddendum": ("hello world|%h", ""),
    "VisualHostKey": _FLAG,
    "WarnWeakCrypto": ("yes|no|no-pq-kex", ""),
    "XAuthLocation": ("/usr/bin/xauth|~/xauth|none|'/x y'|rel", _TEXT[1]),
}  # fmt: skip
"""By the manual's name: examples that ssh_config(5) allows, and others; a keyword that 9.2 lacks has none."""

NEWER = frozenset(name for name, (_, bad) in VALUES.items() if not bad)

OLD_NAMES = {
    "ChallengeResponseAuthentication": "KbdInteractiveAuthentication", "DSAAuthentication": "PubkeyAuthentication",
    "HostbasedKeyTypes": "HostbasedAcceptedAlgorithms", "IdentityFile2": "IdentityFile",
    "KeepAlive": "TCPKeepAlive", "ProtocolKeepAlives": "ServerAliveInterval",
    "PubkeyAcceptedKeyTypes": "PubkeyAcceptedAlgorithms", "SetupTimeOut": "ServerAliveInterval",
    "SkeyAuthentication": "KbdInteractiveAuthentication", "SmartcardDevice": "PKCS11Provider",
    "TISAuthentication": "KbdInteractiveAuthentication",
    **dict.fromkeys((
        "AFSTokenPassing", "Cipher", "CompressionLevel", "FallBackToRsh", "GlobalKnownHostsFile2",
        "KerberosAuthentication", "KerberosTGTPassing", "Protocol", "RhostsAuthentication",
        "RhostsRSAAuthentication", "RSAAuthentication", "UseBlacklistedKeys", "UsePrivilegedPort", "UseRoaming",
        "UserKnownHostsFile2", "UseRsh",
    ), ""),
}  # fmt: skip
"""Other names for keywords, and names of keywords that are gone."""

CRITERIA: dict[str, str] = {
    "all": "", "canonical": "", "final": "",
    "exec": "true|false|\"exit 3\"|\"test %h = host\"|\"test -n '%u'\"|\"test %n-%p = host-22\""
            "|\"echo out; echo %r >/dev/null\""
            "|\"test $T_NAME = name\"|\"test %k = %h 2>/dev/null\"|\"nosuchcommand 2>/dev/null\"|'true'|%x"
            "|\"test %i-%d-%L-%l-%C = x\"",
    "host": "host|h*|!host,*|HOST|real.example|*.example|h?st|192.0.2.*|nope|\"a,host\"|*,!nope|::1|é|''",
    "originalhost": "host|h*|!host,*|Host|nope|*.org|nope,host|!nope|web?.example.org",
    "user": "root|me|!root,*|*|ro*|nope,me|ME|a*,!ab|name|%u",
    "localuser": "root|!root,*|*|nope|r??t|ROOT",
}  # fmt: skip
"""Match's criteria and examples of their arguments."""

_HOST_PATTERNS = (
    "host", "*", "h*st", "HOST", "!host *", "* !host", "host !web*", "web*.example.org", "?ost", "192.0.2.*",
    "nope", "!nope", "a b host", "*.*", '"host"', "::1",
)  # fmt: skip
_DESTINATIONS = (
    "host", "host", "host", "host", "HOST", "web1.example.org", "me@host", "ssh://host", "ssh://me@host:2222",
    "a@b@host", "192.0.2.7", "[::1]", "ssh://[::1]:2200", "fe80::1%lo", "host.", "me@192.0.2.7",
    "ssh://me%40x@host", "::1", "ssh://host:022",
)  # fmt: skip
_BAD_DESTINATIONS = (
    "ssh://host:0", "ssh://", "@host", "host;x", "ssh://host/x", "ssh://host:x", "'h'", "h h", "me;@host",
    "ssh://%zz@h", "-", "u`@host", "h\\", "$h", "h{}",
)  # fmt: skip
_NUMERIC = ("192.0.2.7", "127.0.0.1", "::1", "me@192.0.2.7", "ssh://127.0.0.1:2200")
_COMMANDS = (["ls"], ["ls", "-l", "-p", "3"], ["echo", "%h"], ["--", "x"], ["sftp"], [""])

FLAGS: dict[str, tuple[str, str]] = {
    "4": ("", "AddressFamily"), "6": ("", "AddressFamily"), "A": ("", "ForwardAgent"), "a": ("", "ForwardAgent"),
    "B": ("lo|eth0", "BindInterface"), "b": ("127.0.0.1|::1|x", "BindAddress"), "C": ("", "Compression"),
    "c": ("aes128-ctr|aes256-ctr,aes128-ctr|+aes128-cbc|-aes*|^aes256-ctr|nonsense|aes128-ctr,x|''|3des"
          "|blowfish", "Ciphers"),
    "D": ("1080|h:1080|[::1]:1080|*:1080|:1080|x|0|65536|a:b:c|/sock|h/1080|", "DynamicForward"),
    "E": (f"{DIRECTORY}/log|/nonexistent/dir/log", "LogLevel"), "e": ("none|~|^A|xx|^|", "EscapeChar"),
    "F": (f"none|{DIRECTORY}/other|/nonexistent/config|{DIRECTORY}/config", ""),
    "f": ("", "ForkAfterAuthentication"), "g": ("", "GatewayPorts"), "I": ("/p.so|none", "PKCS11Provider"),
    "i": (f"{DIRECTORY}/config|/nonexistent/key|~/nokey|{DIRECTORY}/%h|~nosuchuser/k|", "IdentityFile"),
    "J": ("jump|u@jump:22|a,b|none|ssh://j:1|a:x|u@|-x|[::1]:22|", "ProxyJump"),
    "K": ("", "GSSAPIDelegateCredentials"), "k": ("", "GSSAPIDelegateCredentials"),
    "L": ("8080:h:80|h:8080:h:80|[::1]:1:[::2]:2|/a.sock:h:80|8080:/b.sock|/a:/b|*:1:h:2|:1:h:2|8080|x|1:h:x"
          "|1:h:0|65536:h:1"
          "|a:b:c:d:e|1/h/2|8080:h:80:x||1:h:2 3|/a h:1|/%h:h:2|1:/%x", "LocalForward"),
    "l": ("me|a@b|'a b'|-x|a;b||root|a b", "User"),
    "M": ("", "ControlMaster"), "m": ("hmac-sha2-256|+hmac-md5|nonsense|-hmac*|^hmac-sha2-512|", "MACs"),
    "N": ("", "SessionType"), "n": ("", "StdinNull"),
    "O": ("check|exit|stop|forward|cancel|nonsense", "ControlPath"),
    "o": ("", ""), "p": ("22|2222|022|ssh|0|65536|x|-1||22x", "Port"), "q": ("", "LogLevel"),
    "R": ("8080:h:80|h:8080:h:80|0:h:80|1080|h:1080|/a.sock:h:80|8080:/b.sock|/a:/b|[::1]:1:[::2]:2|x|1:h:x"
          "|65536:h:1|*:0||0|[::1]:0"
          "|/a.sock|:1:h:2", "RemoteForward"),
    "S": ("/a/ctl|none|~/%h|%C|NONE|%x||${T_DIR}/c|${T_UNSET}", "ControlPath"),
    "s": ("", "SessionType"), "T": ("", "RequestTTY"), "t": ("", "RequestTTY"), "v": ("", "LogLevel"),
    "W": ("h:80|[::1]:80|h|:80|h:0|h:x|x:y:z|h:65536||/sock", "ClearAllForwardings"),
    "w": ("any|0|0:1|any:any|x|1:|:1|any:3|-1|", "TunnelDevice"),
    "X": ("", "ForwardX11"), "x": ("", "ForwardX11"), "Y": ("", "ForwardX11Trusted"), "y": ("", "SyslogFacility"),
    "1": ("", ""), "2": ("", ""),
}  # fmt: skip
"""ssh(1)'s flags but -G, -V and -Q: examples of arguments, good and bad, and the keyword that competes with it."""

FEATURES = (
    *VALUES,
    *OLD_NAMES,
    *(f"Match {criterion}" for criterion in CRITERIA),
    *(f"-{letter}" for letter in FLAGS),
    "Host",
    "Include",
)
"""What cases are made around, in turn."""

_CANONICAL = (
    "CanonicalDomains", "CanonicalizeHostname", "CanonicalizePermittedCNAMEs", "CanonicalizeFallbackLocal",
)  # fmt: skip
_SELDOM = ("LogLevel", "SessionType", "ForkAfterAuthentication", "RemoteCommand")
_RARE = {*_CANONICAL, *NEWER, *_SELDOM}
_COMMON = tuple(name for name in VALUES if name not in _RARE)
_NOT_NUMERIC = {"Hostname", "ProxyCommand", "ProxyJump"}
_TO_LINE_END = {"LocalCommand", "ProxyCommand", "RemoteCommand", "KnownHostsCommand", "VersionAddendum"}
_BAD_LINES = (
    "UnknownThing 1", "Foo bar", "=22", '"', "'", "Port", "Match", "Host", "Include", "Match foo x",
    "Match host", "Match all host x", "Match user", 'Host ""', "Match !foo x", "Match host x all",
    "Match canonical all", "Match final all", "Match exec", "Match host=", 'Include ""', "Include '", 'Port "22',
    'Match user "', '"Port 22', "Port=", "Port = = 22", "Ünknown x", "User 'a", "Host 'a", "User a\\",
    "Batch Mode yes", "BatchMode:yes", "Match all all", "Match !all", "Match final canonical",
    "Match canonical !final", "# only a comment", "\\", "Port\\ 22", "Match host host=x", "Match ,",
    "Match host ''",
)  # fmt: skip


def generate(seed: int, number: int) -> Case:
    """The case `number` of `seed`, around the feature whose turn it is."""
    return _Maker(f"{seed}:{number}", FEATURES[number % len(FEATURES)], number // len(FEATURES)).case()


class _Maker:
    """Draws one case; `turn` is how often its feature was drawn before, and decides whether the case is sane."""

    def __init__(self, seed: str, feature: str, turn: int) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.feature = feature
        self.bad = (turn + sum(feature.encode())) % 2 == 1
        self.covers = {feature}
        self.files: dict[str, list[str]] = {}
        self.numeric = feature in _CANONICAL or feature == "CanonicalizeMaxDots"

    def case(self) -> Case:
        focus = self._focus()
        lines = [self._line() for _ in range(self.random.randrange(6))]
        if self.random.random() < 0.5:
            lines.insert(self.random.randrange(len(lines) + 1), self._header())
        if self.random.random() < 0.2:
            lines.insert(self.random.randrange(len(lines) + 1), self._include())
        if self.random.random() < 0.2:
            lines += [self._header(), self._line(), self._line()]
        at = self.random.choice((0, 0, self.random.randrange(len(lines) + 1)))
        lines[at:at] = focus
        if self.bad and self.random.random() < 0.3:
            lines.insert(self.random.randrange(len(lines) + 1), self.random.choice(_BAD_LINES))
        self.files["config"] = lines
        arguments = self._arguments()
        files = {name: self._ends(lines) for name, lines in self.files.items()}
        return Case(self.seed, files, arguments, frozenset(self.covers))

    def _focus(self) -> list[str]:
        """The lines that the case is about."""
        feature, chance = self.feature, self.random.random
        if feature.startswith("Match "):
            return [self._match(feature.removeprefix("Match ")), self._line(), self._line()]
        if feature == "Host":
            return [f"Host {self._pick(_HOST_PATTERNS)}", self._line(), self._line()]
        if feature == "Include":
            return [self._include(), self._line()]
        if feature[0] == "-":
            keyword = FLAGS[feature[1]][1]
            return [self._keyword(keyword, False)] if keyword and chance() < 0.7 else []
        if feature in OLD_NAMES:
            name = OLD_NAMES[feature]
            return [
                self._spell(feature, self._value(name, self.bad) if name else self._pick(("yes", "1", "x y", "")))
            ]
        lines = [self._keyword(feature, self.bad)]
        if feature in _CANONICAL:
            lines += [self._keyword(name, False) for name in _CANONICAL if name != feature and chance() < 0.5]
        elif chance() < 0.4:
            lines.append(self._keyword(feature, False))
        if feature == "IgnoreUnknown":
            lines.insert(self.random.randrange(3), self._pick(["Foo 1", "foobar 'x", "Unknown", "Bar=2 # 3"]))
        return lines

    def _pick(self, items: Sequence[str]) -> str:
        return self.random.choice(items)

    def _value(self, name: str, bad: bool) -> str:
        good, other = VALUES[name]
        return self._pick((other or good if bad else good).split("|"))

    def _keyword(self, name: str, bad: bool) -> str:
        """A line with a keyword; a bad one has a bad value or a bad shape."""
        self.covers.add(name)
        if not bad or self.random.random() < 0.75 or name in NEWER:
            return self._spell(name, self._value(name, bad))
        good = self._value(name, False)
        return self._pick((
            name, f"{name} ", f"{name} {good} extra", f'{name} "{good}', f"{name} ''", f'{name} ""',
            f"{name} = = {good}", f"{name}={good}=", f"{name} '{good}\"", f"{name} # {good}", f"{name} {good} '",
            f"{name} {good}\\", f"{name}: {good}",
        ))  # fmt: skip

    def _spell(self, name: str, value: str) -> str:
        """`name` and `value` as one line, in one of the ways that ssh_config(5) has for that."""
        chance = self.random.random
        quoted = chance() < 0.03 and name not in NEWER
        if chance() < 0.3:
            name = self._pick((name.upper(), name.lower(), name.swapcase()))
        if quoted:
            name = f'"{name}"'
        if chance() < 0.15 and value.isalnum():
            value = self._pick((f'"{value}"', f"'{value}'", f'{value[:1]}"{value[1:]}"', f'""{value}""'))
        separator = self._pick((" ", " ", " ", "\t", "=", " = ", "  ", "= ", " =", "\t=\t"))
        line = f"{self._pick(('', '', '', '  ', chr(9), ' ' + chr(9)))}{name}{separator}{value}"
        if chance() < 0.1 and name not in _TO_LINE_END:
            line += self._pick((" # note", " #", "\t#x 'y", " #note "))
        return line + (self._pick((" ", "\t", "  \t", "\r", "\f")) if chance() < 0.1 else "")

    def _line(self) -> str:
        """A line to fill up with: mostly a sane keyword."""
        draw = self.random.random()
        if draw < 0.05:
            return self._pick(("", "  ", "# comment", "\t# 'x", "#"))
        name = self._pick(_COMMON if draw < 0.92 else _SELDOM)
        if self.numeric and name in _NOT_NUMERIC:
            name = "Port"
        return self._keyword(name, False)

    def _header(self) -> str:
        """A Host or Match line."""
        if self.random.random() < 0.5:
            self.covers.add("Host")
            return self._spell("Host", self._pick(_HOST_PATTERNS))
        return self._match(self._pick(tuple(CRITERIA)))

    def _match(self, criterion: str) -> str:
        """A Match line with `criterion` and perhaps others."""
        criteria = [criterion]
        while self.random.random() < 0.35 and criterion != "all":
            criteria.append(self._pick([name for name in CRITERIA if name != "all" or len(criteria) == 1]))
        words = []
        for name in criteria:
            self.covers.add(f"Match {name}")
            sign = "!" if self.random.random() < 0.2 else ""
            shown = self._pick((name, name, name, name.upper(), name.title()))
            value = CRITERIA[name]
            words.append(f"{sign}{shown}")
            if value:
                words[-1] += self._pick((" ", " ", " ", "=", "\t")) + self._pick(value.split("|"))
        keyword = self._pick(("Match", "match", "MATCH", " Match"))
        return f"{keyword} {' '.join(words)}{self._pick(('', '', '', ' # x'))}"

    def _include(self, depth: int = 0) -> str:
        """An Include line, and the files that it names."""
        self.covers.add("Include")
        number = len(self.files)
        names = [f"inc/{number}{letter}.conf" for letter in "ab"[: self.random.randrange(1, 3)]]
        for name in names:
            lines = self.files[name] = [self._line() for _ in range(self.random.randrange(4))]
            if self.random.random() < 0.4:
                lines.insert(self.random.randrange(len(lines) + 1), self._header())
            if depth < 2 and self.random.random() < 0.3:
                lines.append(self._include(depth + 1))
            if self.bad and self.random.random() < 0.1:
                lines.append(self._pick(_BAD_LINES))
        return self._pick((
            *(f"Include {DIRECTORY}/{name}" for name in names), f"Include {DIRECTORY}/inc/{number}*.conf",
            f"Include {' '.join(f'{DIRECTORY}/{name}' for name in names)}", f'include="{DIRECTORY}/{names[0]}"',
            f"Include {DIRECTORY}/inc/{number}[ab].conf /nonexistent/*",
            f"Include {DIRECTORY}/nothing {DIRECTORY}/inc/{number}?.conf",
        ))  # fmt: skip

    def _ends(self, lines: list[str]) -> list[str]:
        """The lines with their ends."""
        end = "\r\n" if self.random.random() < 0.07 else "\n"
        ended = [line + end for line in lines]
        if ended and self.random.random() < 0.15:
            ended[-1] = lines[-1]
        return ended

    def _arguments(self) -> list[list[str]]:
        """The command line, in groups; the destination is one, the command with it."""
        flags = [self._flag(self.feature[1])] if self.feature[0] == "-" else []
        count = self.random.choice((0, 0, 0, 1, 1, 2, 3))
        flags += [self._flag(self._pick("46AaBbCDegikKLlMNnopqRSTtWwXxYoooo")) for _ in range(count)]
        if self.feature == "-t" and self.random.random() < 0.5:
            flags.append(["-t"])
        self.random.shuffle(flags)
        if self.numeric:
            destination = self._pick(_NUMERIC)
        else:
            wrong = self.bad and self.random.random() < 0.05
            destination = self._pick(_BAD_DESTINATIONS if wrong else _DESTINATIONS)
        before = self.random.randrange(len(flags) + 1)
        file = [] if self.feature == "-F" or self.random.random() < 0.03 else [["-F", f"{DIRECTORY}/config"]]
        if self.feature == "-F":
            self.files["other"] = [self._line()]
        wants = 0.9 if ["-s"] in flags or ["-f"] in flags else 0.12
        command = self.random.choice(_COMMANDS) if self.random.random() < wants else []
        return [*file, *flags[:before], [destination], *flags[before:], *([command] if command else [])]

    def _flag(self, letter: str) -> list[str]:
        """A flag, its argument behind it or joined to it."""
        self.covers.add(f"-{letter}")
        if letter == "o":
            return self._option()
        examples = FLAGS[letter][0]
        if not examples:
            return [f"-{letter}"]
        value = self._pick(examples.split("|"))
        if not self.bad and self.random.random() < 0.7:
            value = examples.split("|")[0]
        if self.numeric and letter in "JW":
            value = "none" if letter == "J" else value
        return [f"-{letter}{value}"] if value and self.random.random() < 0.3 else [f"-{letter}", value]

    def _option(self) -> list[str]:
        """An -o with a keyword, in one of its spellings."""
        name = self.feature if self.feature in VALUES and self.random.random() < 0.5 else self._pick(_COMMON)
        if name in NEWER or (self.numeric and name in _NOT_NUMERIC):
            name = "Port"
        if self.bad and self.random.random() < 0.2:
            return ["-o", self._pick(_BAD_LINES)]
        text = self._keyword(name, self.bad and self.random.random() < 0.3)
        if self.random.random() < 0.5:
            text = f"{name}={self._value(name, False)}"
        return [f"-o{text}"] if self.random.random() < 0.4 else ["-o", text]
