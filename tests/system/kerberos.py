"""A throwaway Kerberos realm on 127.0.0.1: a KDC of our own with its database, principals, keytabs and tickets."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from pathlib import Path

from tests.system.servers import free_port, program
from tests.system.waiting import wait_until

REALM = "PYSSH.TEST"
PASSWORD = "a-password-of-the-tests"


class Realm:
    """The KDC, until `stop()`. Programs find it by `environment`."""

    def __init__(self, directory: Path) -> None:
        """Make the database and start the KDC. Raises CalledProcessError."""
        self.directory = directory
        directory.mkdir(mode=0o755)
        port = free_port()
        self.config = directory / "krb5.conf"
        self.config.write_text(
            f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
            " dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n forwardable = true\n"
            f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
        )
        kdc = directory / "kdc.conf"
        kdc.write_text(
            f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n"
            f"[realms]\n {REALM} = {{\n  database_name = {directory}/principal\n"
            f"  key_stash_file = {directory}/stash\n  acl_file = {directory}/acl\n }}\n"
            f"[logging]\n kdc = FILE:{directory}/kdc.log\n"
        )
        self.environment = {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "KRB5_CONFIG": str(self.config),
            "KRB5_KDC_PROFILE": str(kdc),
        }
        self._run(program("kdb5_util"), "create", "-s", "-r", REALM, "-P", "master")
        self._kdc = subprocess.Popen(
            [program("krb5kdc"), "-n"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self.add("probe")
            wait_until(self._answers, "the KDC to answer")
        except BaseException:
            self.stop()
            raise

    def add(self, principal: str, keytab: Path | None = None) -> None:
        """Make a principal, with PASSWORD; with `keytab`, one of random keys that are put there."""
        if keytab is None:
            self._kadmin(f"addprinc -pw {PASSWORD} {principal}")
            return
        self._kadmin(f"addprinc -randkey {principal}")
        self._kadmin(f"ktadd -k {keytab} {principal}")
        keytab.chmod(0o600)

    def log_in(self, principal: str, cache: Path) -> None:
        """Put a ticket of the principal's into the credential cache. Raises CalledProcessError."""
        self._run(program("kinit"), "-f", "-c", str(cache), principal, send=PASSWORD)

    def expire(self, cache: Path) -> None:
        """Put the times of all tickets in the cache back by two days. The file's format 4 has four of each, in
        seconds since 1970: of the login, from when, until when, renewable until when."""
        content = bytearray(cache.read_bytes())
        assert content[:2] == b"\x05\x04"
        now, back, found = int(time.time()), 2 * 86400, 0
        for at in range(len(content) - 16):
            login, start, end, renewed = struct.unpack_from(">4I", content, at)
            if now - 3600 < login <= start <= now + 60 < end < now + back and not renewed:
                struct.pack_into(">4I", content, at, login - back, start - back, end - back, 0)
                found += 1
        assert found
        cache.write_bytes(content)

    def stop(self) -> None:
        """End the KDC."""
        self._kdc.kill()
        self._kdc.wait()

    def _answers(self) -> bool:
        cache = self.directory / "probe"
        done = subprocess.run(
            [program("kinit"), "-c", str(cache), "probe"],
            env=self.environment,
            input=PASSWORD.encode() + b"\n",
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _kadmin(self, command: str) -> None:
        self._run(program("kadmin.local"), "-r", REALM, "-q", command)

    def _run(self, *argv: str, send: str = "") -> None:
        subprocess.run(
            argv,
            env=self.environment,
            input=f"{send}\n".encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
