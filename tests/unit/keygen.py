"""Keys for the tests of keys: made by ssh-keygen, and those of a FIDO authenticator in software."""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from pyssh_cli.keys.algorithms import SK_ECDSA, SK_ED25519, WEBAUTHN_SK_ECDSA
from pyssh_cli.keys.public import PublicKey, parse_public_file
from pyssh_cli.wire import mpint, string, text, uint32, uint64

KINDS = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048")
"""What `make` makes: a type and perhaps a size."""


def keygen(*arguments: str | Path) -> str:
    """What ssh-keygen prints; CalledProcessError if it fails."""
    command = ["ssh-keygen", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def make(path: Path, kind: str, comment: str = "a comment") -> PublicKey:
    """A new key pair at `path` and .pub beside it; its public half."""
    name, _, bits = kind.partition("-")
    size = ("-b", bits) if bits else ()
    keygen("-q", "-t", name, *size, "-N", "", "-C", comment, "-f", path)
    return public(path)


def public(path: Path) -> PublicKey:
    """The public key beside `path`."""
    return parse_public_file(Path(f"{path}.pub").read_bytes())[0]


def certify(authority: Path, path: Path, *options: str, identity: str = "identity") -> PublicKey:
    """Sign the key at `path`; the certificate, which lies beside it as ssh-keygen has it."""
    keygen("-q", "-s", authority, "-I", identity, *options, f"{path}.pub")
    return parse_public_file(Path(f"{path}-cert.pub").read_bytes())[0]


class Authenticator:
    """A key of a FIDO authenticator. `flags` are what it says at each signature: 1 is a touch."""

    def __init__(self, kind: str, application: bytes = b"ssh:") -> None:
        self.kind = kind
        self.application = application
        self.handle = b"handle"
        self.flags = 1
        self.counter = 7
        self._ed25519 = ed25519.Ed25519PrivateKey.generate()
        self._ecdsa = ec.generate_private_key(ec.SECP256R1())
        if kind == SK_ED25519:
            self._point = string(self._ed25519.public_key().public_bytes_raw())
        else:
            numbers = self._ecdsa.public_key().public_numbers()
            point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
            self._point = string(b"nistp256") + string(point)
        self.public = PublicKey.parse(text(kind) + self._point + string(application))

    def sign(self, data: bytes) -> bytes:
        """The whole signature blob, as ssh asks for it."""
        signed = self._authenticator_data() + hashlib.sha256(data).digest()
        return text(self.kind) + string(self._bare(signed)) + bytes([self.flags]) + uint32(self.counter)

    def sign_webauthn(
        self,
        data: bytes,
        *,
        origin: bytes = b"https://example.com",
        told_origin: bytes = b"https://example.com",
        kind: bytes = b"webauthn.get",
        extensions: bytes = b"",
    ) -> bytes:
        """The whole signature blob, as a browser asks for it; `told_origin` is the one beside the JSON."""
        challenge = urlsafe_b64encode(data).rstrip(b"=")
        client_data = b'{"type":"%b","challenge":"%b","origin":"%b","crossOrigin":false}' % (
            kind,
            challenge,
            origin,
        )
        signed = self._authenticator_data() + extensions + hashlib.sha256(client_data).digest()
        said = string(self._bare(signed)) + bytes([self.flags]) + uint32(self.counter)
        return text(WEBAUTHN_SK_ECDSA) + said + string(told_origin) + string(client_data) + string(extensions)

    def _authenticator_data(self) -> bytes:
        return hashlib.sha256(self.application).digest() + bytes([self.flags]) + uint32(self.counter)

    def _bare(self, signed: bytes) -> bytes:
        if self.kind == SK_ED25519:
            return self._ed25519.sign(signed)
        r, s = decode_dss_signature(self._ecdsa.sign(signed, ec.ECDSA(SHA256())))
        return mpint(r) + mpint(s)

    def key_file(self, comment: str = "a comment") -> bytes:
        """The file that ssh-keygen -t ...-sk writes (OpenSSH's PROTOCOL.key, without encryption)."""
        own = self._point + string(self.application) + bytes([1]) + string(self.handle) + string(b"")
        section = uint32(5) * 2 + text(self.kind) + own + text(comment)
        section += bytes(range(1, 8 - len(section) % 8 + 1)) if len(section) % 8 else b""
        body = b"openssh-key-v1\0" + text("none") * 2 + string(b"") + uint32(1) + string(self.public.blob)
        return armored(body + string(section))


def armored(body: bytes) -> bytes:
    """A private key file of OpenSSH's format around `body`."""
    lines = b64encode(body)
    wrapped = b"\n".join(lines[at : at + 70] for at in range(0, len(lines), 70))
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + wrapped + b"\n-----END OPENSSH PRIVATE KEY-----\n"


def certificate_body(
    key: PublicKey,
    ca: bytes,
    *,
    name: str = "",
    kind: int = 2,
    principals: tuple[bytes, ...] = (b"host",),
    critical: bytes = b"",
    extensions: bytes = b"",
    key_id: bytes = b"id",
) -> bytes:
    """A certificate that is valid for ever, up to where the signature comes."""
    fields = key.blob[4 + len(key.type) :]
    return b"".join(
        (
            text(name or key.type.removesuffix("@openssh.com") + "-cert-v01@openssh.com"),
            string(bytes(32)),
            fields,
            uint64(1),
            uint32(kind),
            string(key_id),
            string(b"".join(map(string, principals))),
            uint64(0),
            uint64((1 << 64) - 1),
            string(critical),
            string(extensions),
            string(b""),
            string(ca),
        )
    )


SECURITY_KEY_KINDS = (SK_ED25519, SK_ECDSA)
