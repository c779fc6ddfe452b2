"""The same files and flags through OpenSSH's `ssh -G` and ours: values, messages and exit codes have to agree.

Left out of the comparison are the algorithm lists (each program has its own defaults), keys that OpenSSH has only
since 9.2, and what 10.5 does otherwise: the defaults of IdentityFile and IPQoS.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyssh_cli.cli import main
from pyssh_cli.config.keywords import ALGORITHM_LISTS
from tests.unit.hinted import bare

APART = {*ALGORITHM_LISTS, "channeltimeout", "obscurekeystroketiming", "warnweakcrypto"}
DEFAULTS_APART = ("identityfile ~/.ssh/id_", "ipqos lowdelay throughput", "ipqos ef cs0")


def many(keyword: str, count: int) -> str:
    """So many lines of one keyword, each with a file of its own."""
    return "".join(f"{keyword} f{number}\n" for number in range(count))


FILES = [
    "", "Port 2200\nUser me\n", "Host h?st\nUser a\nHost *\nUser b\n", "Host * !host\nUser a\n",
    "Host !host *\nUser a\n", "Host HOST\nUser a\n", "Match host HOST\nUser a\n", "Match !host host\nUser a\n",
    "Match host=host user=root,*\nUser a\n", "Match exec true\nUser a\n", 'Match exec "exit 1"\nUser a\n',
    'Match exec "test %h = host"\nUser a\n', "Match final\nUser a\n", "Match !final\nUser a\n",
    "Match canonical\nUser a\n", "Host host\nHostname real\nMatch final host real\nUser f\nHost real\nPort 9\n",
    "Hostname %h.Example.ORG\n", "Hostname a%%b\n", "Port=22 \nUser=x # y\n", "Port = 022", "User 'a b'\n",
    'User "a\\"b"\n', "User a\\ b\n", "User x\r\nPort 23\r\n", "\n# c\n  # d\nUser e#f\n", '"Port" 5\n',
    "SendEnv A B*\nSendEnv C -B*\nSetEnv X=1 Y='a b' X=3\nSetEnv Z=2\n", "RekeyLimit 1.5G 2h\n",
    "RekeyLimit default none\n", "ConnectTimeout 1m30s\n", "ConnectTimeout none\n", "EscapeChar none\n",
    "EscapeChar ^A\n", "LogLevel verbose\n", "LogLevel DEBUG1\n", "StrictHostKeyChecking off\n",
    "StrictHostKeyChecking accept-new\n", "AddressFamily INET6\n", "RequestTTY force\n", "SessionType none\n",
    "UserKnownHostsFile ~/%h-%n-%p-%u-%i-%d-%k /%%\n", "UserKnownHostsFile /%C-%L-%l\n",
    "UserKnownHostsFile none\n", "GlobalKnownHostsFile /a '/b c'\n", "IdentityAgent none\n",
    "IdentityAgent ~/%h\n", "IdentityFile ~/a\nIdentityFile b\nIdentityFile ~/a\n", "IdentityFile none\n",
    "HostKeyAlias ABC\n", "ProxyCommand nc  %h \"a\" # b\nProxyJump z\n", "ProxyJump u@x:22,y\nProxyCommand c\n",
    "ProxyJump none\n", "RemoteCommand ls  %h 'x'\n", "LocalCommand x  y\n", "IgnoreUnknown F*\nFoo 1\n",
    "AddKeysToAgent 5m\n", "AddKeysToAgent confirm 5m\n", "ControlPersist 5m\n", "TunnelDevice 3\n",
    "StreamLocalBindMask 0077\n", "PubkeyAuthentication host-bound\n", "KeepAlive no\nTISAuthentication no\n",
    "Protocol 1\nCipher x\nUseRoaming no\n", "Include /nonexistent/*\nPort 4\n", "Compression yes\n",
    "PreferredAuthentications a,b\n", "ForwardAgent yes\nForwardX11 yes\nForwardX11Timeout 5m\n",
    "LocalForward 8080 host:80\nLocalForward 8080 host:80\nLocalForward *:81 [::1]:http\n",
    "LocalForward /tmp/%h host:80\nRemoteForward /tmp/s /tmp/t\n", "LocalForward :1 a:2\nLocalForward []:1 :2\n",
    "RemoteForward 0\nRemoteForward localhost:022\nRemoteForward 0 a:1\nRemoteForward /s\nRemoteForward 1\n",
    "DynamicForward 1080\nDynamicForward [::1]:1\nDynamicForward 1080\nRemoteForward 5 socks:1\n",
    "LocalForward 1 a:2\nRemoteForward 3\nDynamicForward 4\nTunnel yes\nClearAllForwardings yes\n",
    "BatchMode yes\n", "BatchMode yes\nServerAliveInterval 5\n", "BatchMode yes\nServerAliveInterval none\n",
    "UserKnownHostsFile ~/.ssh/known_hosts\n", "VerifyHostKeyDNS ask\n", "UserKnownHostsFile # c\n",
    "ProxyJump ssh://u@a:022,1.2.3.4:5\n", "ProxyJump u@b@[fe80::1%eth0] # c\n", "ProxyJump a\nProxyJump b\n",
    "ProxyJump a b\n", 'ProxyJump "a"\n', "ProxyCommand none\nProxyJump b\n", "ControlPath ~/%C-%r@%h:%p\n",
    "ControlPath None\n", "LocalCommand none\nKnownHostsCommand NONE\nRevokedHostKeys none\n",
    "PKCS11Provider none\nSecurityKeyProvider none\n", "SmartcardDevice /x\n", "SetupTimeOut 5\n",
    "ProtocolKeepAlives 5\n", "HostbasedKeyTypes ssh-ed25519\nPubkeyAcceptedKeyTypes ssh-ed25519\n",
    "GSSAPIKeyExchange yes\nGSSAPIClientIdentity a\nGSSAPIServerIdentity b\n",
    "GSSAPIKexAlgorithms gss-gex-sha1-x\n",
    "IPQoS ef\n", "IPQoS AF11 cs1\n", "IPQoS none 0x2e\n", "TunnelDevice any:022\n", "TunnelDevice ANY\n",
    "EscapeChar ' '\n", "EscapeChar \\\\\n", "EscapeChar ^?\n", "EscapeChar ^[\n", "EscapeChar \x7f\n",
    "StreamLocalBindMask 0178\n", "AddKeysToAgent confirm 0\n", "AddKeysToAgent 0\n", "LogVerbose a b\n",
    "LogVerbose none\n", "FingerprintHash Sha512\n", "PermitRemoteOpen a:1 [::1]:* b:http\n",
    "CanonicalDomains A.\n",
    "PermitRemoteOpen None\n", "ConnectTimeout ' 5'\n", "ConnectTimeout 1s1\n", "ForwardX11Timeout none\n",
    "ForwardAgent ${HOME}\n", "IdentityAgent ${HOME}/a\n", "IdentityAgent $NOT_SET\n", "SetEnv A=1 =2\n",
    "SyslogFacility local7\n", "KbdInteractiveDevices pam,bsdauth\n", "CertificateFile a\nCertificateFile ~/%h\n",
    many("IdentityFile", 100) + "Host x\nIdentityFile a\n", many("CertificateFile", 100), "IdentityFile a\n" * 101,
    "ProxyJump a;b\n", "ProxyJump -x\n", "ProxyJump u;v@a\n", "ProxyJump a`b`,$c\n",
    "AFSTokenPassing x\nCompressionLevel 9\nFallBackToRsh yes\nUseBlacklistedKeys yes\n", "Ciphers aes128-ctr,\n",
]  # fmt: skip

BAD_FILES = [
    "Foo bar\nBaz 1\nPort 22\n", "Host other\nFoo 1\n", "BatchMode maybe", "BatchMode", "BatchMode yes no",
    "Port x", "Port 0", "Port 65536", "Port -1", "Port 1e3", 'Port ""', 'Port "22', "Port == 22", "Port 22#c",
    "=22", "ConnectTimeout x", "ConnectTimeout 1x", 'ConnectTimeout ""', "ConnectTimeout 99999999999",
    "ConnectionAttempts x", 'ConnectionAttempts ""', "ConnectionAttempts -1", "ConnectionAttempts 99999999999",
    "RekeyLimit 1", "RekeyLimit x", "RekeyLimit 1G x", "RekeyLimit 1G 1h x", "RekeyLimit 9999999999999G",
    "Ciphers foo", "Ciphers +aes128-ctr,foo", "Ciphers aes*", "MACs foo", "HostKeyAlgorithms foo",
    "PubkeyAcceptedAlgorithms ssh-*,zz*", "LogLevel foo", "StrictHostKeyChecking foo", "EscapeChar xx",
    "AddressFamily foo", "RequestTTY foo", "SessionType foo", "SendEnv A=B", "SetEnv A", "IdentityFile a b",
    "UserKnownHostsFile a none", 'UserKnownHostsFile ""', "FingerprintHash foo", "IPQoS foo", "Match foo x",
    "Match", "Match host", "Match all host x", "Match exec", "Match #", "ControlMaster foo", "TunnelDevice x",
    "LocalForward 1", "DynamicForward x", "AddKeysToAgent foo", "StreamLocalBindMask 9", "ControlPersist x",
    "SyslogFacility x", "CanonicalDomains ..", "CanonicalizePermittedCNAMEs x", "Compression true",
    'RemoteCommand a "b', 'Include ""', 'Host ""', "Port\f22", "LocalForward 0 a:1", "LocalForward 1 a:0",
    "LocalForward 1 a:b:2", "LocalForward [a:1 b:2", "LocalForward 1 a:2 b", "LocalForward x a:2",
    "RemoteForward x",
    "RemoteForward 65536", "RemoteForward 1 a:0", "DynamicForward 0", "DynamicForward 1 2", 'DynamicForward ""',
    "LocalForward /" + "x" * 107 + " a:1", "ProxyJump a,,b", "ProxyJump ::1", "ProxyJump a:0", "ProxyJump @a",
    "ProxyJump ssh://a/b", "ProxyJump # c", "IPQoS 256", "IPQoS af45", "IPQoS ef x", "IPQoS ef ef ef",
    "TunnelDevice 1:", "TunnelDevice 1:2:3", "TunnelDevice 2147483646", "StreamLocalBindMask 01000",
    "AddKeysToAgent yes 5m", "AddKeysToAgent confirm x", "AddKeysToAgent confirm 5 x", "ControlPersist True",
    "CanonicalDomains a..b", "CanonicalDomains -a", "CanonicalDomains a none", "CanonicalizePermittedCNAMEs A:",
    "PermitRemoteOpen a", "PermitRemoteOpen a:1 any", "PermitRemoteOpen /x", "PermitRemoteOpen [a:1",
    "ForwardAgent $a-b", "IdentityAgent $", "LogVerbose a none",
    "LogLevel # c", 'RekeyLimit 1K ""', "RekeyLimit 8E",
    "UserKnownHostsFile" + " /f" * 33, "FingerprintHash sha224", "GSSAPIKexAlgorithms gss-x-", "Ciphers +",
    "MACs ^",
    "KexAlgorithms !curve25519-sha256", "SyslogFacility KERN", "ConnectTimeout '5 '", "ConnectTimeout 35791395m",
    many("IdentityFile", 101), "Foo 1\n" + many("CertificateFile", 101) + "Foo 2\n",
    many("IdentityFile", 100) + "IdentityFile f1\n", "x" * 5000 + " 1", "x" * 5000, "Port " + "5" * 5000,
]  # fmt: skip

BAD_JUMPS = [
    "a;b", "-x", '""', "a`b`", "a$b", "a|b", "a<b", "a>b", "a&b", "a\\b", "a{b", "a)b", "[a;b]:22", "a;b:22",
    "a,b;c", "a;b,c", ";", "u;v@a", "-u@a", "u\1@h", "a\x7fb", "u\\@h", "u{v@h", "u|v@h,a", "ssh://a;b", "ssh://u%3bv@a",
    "ssh://-u@a", "ssh://a%3bb", "ssh://u@[a;b]:22",
]  # fmt: skip

ARGUMENTS = [
    ["h", "-p", "4", "ls", "-v"], ["-l", "a", "b@h"], ["b@h", "-l", "a"], ["-p", "5", "ssh://b@h:6"],
    ["ssh://b@h:6", "-p", "5"], ["ssh://h", "-p", "5"], ["ssh://b%40c@h"], ["a@b@h"], ["ssh://h/"],
    ["ssh://u;fp=x@h"], ["--", "h"], ["h", "--", "ls", "-v"], ["h", "-"], ["-l", "a b", "h"], ["-e", "^A", "h"],
    ["-e", "none", "h"], ["-b", "1.2.3.4", "-B", "eth0", "h"], ["-qv", "h"], ["-vq", "h"], ["-q", "h"],
    ["-46", "h"], ["-64", "h"], ["-2", "h"], ["-t", "h"], ["-tt", "h"], ["-ttt", "h"], ["-Tt", "h"], ["-tT", "h"],
    ["-N", "h"], ["-Nt", "h"], ["-n", "h"], ["-s", "h", "sftp"], ["-axkC", "h"], ["-oRequestTTY=yes", "-t", "h"],
    ["-o", "Port=2", "-p3", "h"], ["-p3", "-oPort=2", "h"], ["-Cp4", "h"], ["-o", "Port\t=\t44", "h"],
    ["-o", "#x", "h"], ["-o", "", "h"], ["-oUser=x", "y@h"], ["FOO.bar"], ["[::1]"], ["FE80::1%Eth0"],
    ["-oSendEnv=A", "-oSendEnv=B", "h"], ["-F", "none", "h"], ["-i", "/etc/passwd", "-oIdentityFile=c", "h"],
    ["-i", "/nonexistent", "h"], ["-F", "NONE", "h"], ["-F", "None", "h"], ["DOM%x@h"], ["DOM%u%%@h"],
    ["-l", "DOM%u", "h"], ["ssh://DOM%25x@h"], ["-J", "u\\v@a,%h", "h"], ["-J", "u$@a b;c", "h"],
    ["-oProxyJump=[::1]:2,b # c;d", "h"], ["-J", "ssh://u;v@a", "h"], ["-J", "none", "h"],
    *([*words, "h"] for words in (["-i", "/etc"] * 101, [f"-oIdentityFile=f{number}" for number in range(100)])),
]  # fmt: skip

BAD_ARGUMENTS = [
    ["h;ls"], ["u;ls@h"], ["--", "-h"], ["-l", "-x", "h"], ["-p", "0", "h"], ["-p", "abc", "h"],
    ["-p", "65536", "h"], ["-e", "xx", "h"], ["-m", "foo", "h"], ["-c", "aes128-ctr,foo", "h"], ["-1", "h"],
    ["-o", "Foo=1", "h"], ["-o", "Port", "h"], ["-o", "Port=", "h"], ["-o", "Port 22 23", "h"],
    ["-o", "Host x", "h"], ["-o", "Match all", "h"], ["-o", "Include x", "h"], ["-", "h"],
    ["-o", "RemoteCommand=x", "h", "ls"], ["-F", "/nonexistent", "h"], ["-E", "/nonexistent/x", "h"],
    ["h", "-s"], ["-@", "h"], ["-p"], ["-Q", "nonsense"], ["-oFoo" + "x" * 5000, "h"],
    [*(f"-oIdentityFile=f{number}" for number in range(101)), "h"],
    [*(f"-oCertificateFile=f{number}" for number in range(101)), "h"],
    [*(f"-oIdentityFile=f{number}" for number in range(100)), "-i", "/etc", "h"],
    ["-oProxyJump=x", "-oProxyJump=a;b", "h"], ["-oProxyCommand=x", "-oProxyJump=-a", "h"],
    ["-oProxyJump=x", "-J", "a;b", "h"],
    *([*flag, "h"] for jump in BAD_JUMPS for flag in (["-J", jump], [f"-oProxyJump={jump}"])),
]  # fmt: skip

NO_MESSAGE = [
    ["ssh://h:0"],
    ["ssh://h:x"],
    ["ssh://"],
    ["ssh://h/path"],
    ["ssh://@h"],
    ["@h"],
    ["ssh://%zz@h"],
    [],
]


def ssh(arguments: list[str]) -> tuple[int, list[str], list[str]]:
    done = subprocess.run(
        ["ssh", "-G", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    return done.returncode, values(done.stdout), messages(done.stderr)


def values(output: str) -> list[str]:
    lines = [line for line in output.splitlines() if line.partition(" ")[0] not in APART]
    return [line for line in lines if not line.startswith(DEFAULTS_APART)]


def messages(output: str) -> list[str]:
    """Lines of stderr without versions and notes on the terminal, up to the usage or to where values come from.

    ssh doubles backslashes, and says twice what is wrong with a hop.
    """
    lines = output.replace("\\\\", "\\").splitlines()
    for index, line in enumerate(lines):
        if line.startswith(("usage:", "Values that are not defaults")):
            lines = [*lines[:index], *(["usage"] if line[0] == "u" else [])]
            break
    skipped = (
        "OpenSSH_", "pyssh_", "Pseudo-terminal", "debug", "Unsupported KEX", "vdollar_percent_expand", "parse_jump"
    )  # fmt: skip
    return [bare(line) for line in lines if line and not line.startswith(skipped)]


def ours(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], list[str]]:
    capsys.readouterr()
    status = main(["-G", *arguments])
    captured = capsys.readouterr()
    return status, values(captured.out), messages(captured.err)


@pytest.mark.parametrize("text", FILES + BAD_FILES)
def test_files(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config"
    path.write_bytes(text.encode())
    arguments = ["-F", str(path), "host"]
    assert ours(arguments, capsys) == ssh(arguments)


@pytest.mark.parametrize(
    "arguments", ARGUMENTS + BAD_ARGUMENTS + NO_MESSAGE, ids=lambda words: " ".join(words)[:60]
)
def test_arguments(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config"
    path.write_text("Port 77\n")
    if "-F" not in arguments:
        arguments = ["-F", str(path), *arguments]
    assert ours(arguments, capsys) == ssh(arguments)


def test_order_of_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config"
    path.write_text(
        "BindAddress 1.2.3.4\nHostKeyAlias a\nRemoteCommand r\nLocalCommand l\nSetEnv A=1\nSendEnv B\n"
    )
    arguments = ["-F", str(path), "host"]
    assert [line.split()[0] for line in ours(arguments, capsys)[1]] == [
        line.split()[0] for line in ssh(arguments)[1]
    ]
