"""Keys on PKCS#11 tokens (PKCS11Provider in ssh_config(5), -I), through the optional package python-pkcs11.

A token shows its public keys and certificates as they are needed for the list of keys; its PIN is asked for when
the first signature is wanted, or at once where it shows nothing without.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyssh_cli.client.candidates import Bother, Candidate, Need, Source, UnfitKey
from pyssh_cli.client.outcomes import Outcome, Skipped
from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, plain_type
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import printable
from pyssh_cli.wire import mpint, string, text

if TYPE_CHECKING:
    from pkcs11 import Session, Token

    from pyssh_cli.config.options import Options
    from pyssh_cli.log import Log
    from pyssh_cli.terminal.questions import Questions

MAX_OBJECTS = 256
"""Keys and certificates of a token that are looked at, each."""

_DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""What stands before a hash in what RSA signs (RFC 8017 section 9.2, note 1)."""

_CURVES = {
    bytes.fromhex("06082a8648ce3d030107"): "nistp256",
    bytes.fromhex("06052b81040022"): "nistp384",
    bytes.fromhex("06052b81040023"): "nistp521",
}
"""CKA_EC_PARAMS, an OBJECT IDENTIFIER in DER (RFC 5480 section 2.1.1.1), to the curve's name in SSH."""

_ED25519_PARAMETERS = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
"""CKA_EC_PARAMS of Ed25519: the OBJECT IDENTIFIER of RFC 8410, or the curve's name."""


NO_KEYS = Outcome("it shows no key: no token is there, or an empty one", "no token")
"""Why a library is passed over without an error."""


def token_candidates(
    provider: str, options: Options, log: Log, questions: Questions, skipped: list[Skipped]
) -> list[Candidate]:
    """The keys of all tokens that the library `provider` sees; those that are passed over are added to `skipped`.
    Raises UnfitKey."""
    try:
        import pkcs11
    except ImportError:
        raise UnfitKey(
            f"PKCS11Provider {provider}: it needs the Python package python-pkcs11, where pyssh is installed;"
            " going on without it",
            "no PKCS#11 package",
        ) from None
    candidates: list[Candidate] = []
    passed_over = False
    try:
        with _ended_by_ctrl_c():
            library = pkcs11.lib(provider)
            slots = library.get_slots(token_present=True)
        version = ".".join(map(str, library.cryptoki_version))
        log.debug1(
            f"provider {provider}: manufacturerID <{library.manufacturer_id}> cryptokiVersion {version}"
            f" libraryDescription <{library.library_description}>"
        )
        for slot in slots:
            try:
                token = OpenToken(slot.get_token(), provider, options, log, questions)
                candidates += token.candidates()
            except (pkcs11.PKCS11Error, KeyFileError) as error:
                log.error(f"provider {provider} slot {slot.slot_id}: {_words(error)}")
                kind = error.kind if isinstance(error, UnfitKey) else "other"
                skipped.append(Skipped(f"{provider} slot {slot.slot_id}", Outcome(_words(error), kind)))
                passed_over = True
    except pkcs11.PKCS11Error as error:
        line = f"provider {provider} is not a PKCS11 library: {_words(error)}"
        raise UnfitKey(line, "no PKCS#11 library") from None
    if not candidates:
        log.debug1(f"provider {provider} returned no keys")
        if not passed_over:
            skipped.append(Skipped(provider, NO_KEYS))
    return candidates


def _words(error: Exception) -> str:
    """What the package says, or at least the name of its error."""
    return str(error) or type(error).__name__


class OpenToken:
    """One token. The sessions on it end with the process."""

    def __init__(self, token: Token, provider: str, options: Options, log: Log, questions: Questions) -> None:
        from pkcs11 import TokenFlag

        self._token = token
        self._provider = provider
        self._batch_mode = options.batch_mode
        self._log = log
        self._questions = questions
        self._initialized = bool(token.flags & TokenFlag.TOKEN_INITIALIZED)
        self._needs_login = bool(token.flags & TokenFlag.LOGIN_REQUIRED)
        self._has_keypad = bool(token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH)
        self._session: Session | None = None

    @property
    def asks(self) -> Bother:
        """A token that needs its PIN asks for it; others may want a touch."""
        return "surely" if self._needs_login else "perhaps"

    def candidates(self) -> list[Candidate]:
        """Its keys. Raises KeyFileError and PKCS11Error."""
        if not self._initialized:
            self._log.debug2(f"ignoring uninitialised token in provider {self._provider}")
            return []
        if self._needs_login and self._batch_mode:
            raise UnfitKey("pin required", "PIN")
        self._log.debug1(f"provider {self._provider}: label <{self._token.label}> model <{self._token.model}>")
        with _ended_by_ctrl_c():
            self._session = self._token.open()
            found = self._listed()
        if not found and self._needs_login:  # some show nothing before
            self._log_in()
            found = self._listed()
        return [
            TokenCandidate(self, label or self._provider, public, identifier)
            for public, (label, identifier) in found.items()
        ]

    def _listed(self) -> dict[PublicKey, tuple[str, bytes]]:
        """The public keys of certificates and then the others, each with its label and identifier."""
        from pkcs11 import Attribute, ObjectClass

        assert self._session is not None
        found: dict[PublicKey, tuple[str, bytes]] = {}
        for kind, read in ((ObjectClass.CERTIFICATE, _of_certificate), (ObjectClass.PUBLIC_KEY, _of_public_key)):
            objects = self._session.get_objects({Attribute.CLASS: kind})
            for each, _ in zip(objects, range(MAX_OBJECTS), strict=False):
                public = read(each)
                if public is not None:
                    label = str(_attribute(each, Attribute.LABEL) or "")
                    found.setdefault(public, (label, bytes(_attribute(each, Attribute.ID) or b"")))
        return found

    def _log_in(self) -> None:
        """Open the token's private part, with the PIN that the person knows. Raises KeyFileError."""
        import pkcs11

        if self._questions.asks_nobody:
            raise KeyFileError(f"the token '{printable(self._token.label)}' wants its PIN, and nobody is asked")
        pin: Any = pkcs11.PROTECTED_AUTH
        if self._has_keypad:
            self._log.verbose("Deferring PIN entry to reader keypad.")
        else:
            pin = self._ask_for_pin()
        try:
            with _ended_by_ctrl_c():
                self._session = self._token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            pass
        except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid):
            raise KeyFileError("PKCS#11 login failed: PIN incorrect") from None
        except pkcs11.PinLocked:
            raise KeyFileError("PKCS#11 login failed: PIN has been locked, reset PIN") from None
        except pkcs11.PKCS11Error as error:
            raise KeyFileError(f"PKCS#11 login failed: {_words(error)}") from None
        self._needs_login = False

    def _ask_for_pin(self) -> str:
        pin = self._questions.ask_secret(f"Enter PIN for '{printable(self._token.label)}': ")
        if not pin:
            raise KeyFileError(f"no PIN was given for the token '{printable(self._token.label)}'")
        return pin

    def sign(self, identifier: bytes, signed: bytes, kind: str) -> bytes:
        """The bare signature by the private key with this identifier; `kind` is RSA, EC or EC_EDWARDS. Raises
        KeyFileError."""
        import pkcs11
        from pkcs11 import Attribute, Mechanism, ObjectClass

        if self._needs_login:
            self._log_in()
        assert self._session is not None
        mechanisms = {"RSA": Mechanism.RSA_PKCS, "EC": Mechanism.ECDSA, "EC_EDWARDS": Mechanism.EDDSA}
        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: identifier}
        try:
            with _ended_by_ctrl_c():
                key: Any = next(iter(self._session.get_objects(wanted)), None)
            if key is None:
                raise KeyFileError(f"cannot find the private key on the token '{printable(self._token.label)}'")
            again = None
            if _attribute(key, Attribute.ALWAYS_AUTHENTICATE) and not self._has_keypad:
                again = self._ask_for_pin()
            with _ended_by_ctrl_c():
                return bytes(key.sign(signed, mechanism=mechanisms[kind], pin=again))
        except pkcs11.PKCS11Error as error:
            raise KeyFileError(
                f"the token '{printable(self._token.label)}' did not sign: {_words(error)}"
            ) from None


class TokenCandidate(Candidate):
    """A key on a token; `identifier` is what its private half is found by."""

    note = " token"
    source: Source = "token"

    def __init__(self, token: OpenToken, label: str, public: PublicKey, identifier: bytes) -> None:
        super().__init__(label, public, explicit=False)
        self._token = token
        self._identifier = identifier

    @property
    def asks(self) -> Bother:
        """What the token does."""
        return self._token.asks

    @property
    def needs(self) -> Need:
        return "pin" if self._token.asks == "surely" else "nothing"

    def sign(self, algorithm: str, data: bytes) -> bytes:
        import hashlib

        row = KEY_ALGORITHMS.get(algorithm)
        assert self.public is not None
        if row is None or plain_type(row.key_type) != self.public.type:
            raise KeyFileError(f"a key of type {self.public.type} cannot sign with {algorithm}")
        digest = hashlib.new(row.hash_name, data).digest() if row.hash_name else data
        if self.public.type == "ssh-rsa":
            bare = self._token.sign(self._identifier, _DIGEST_INFO[row.hash_name] + digest, "RSA")
            bare = bare.rjust((self.public.bits + 7) // 8, b"\0")
        elif self.public.type == "ssh-ed25519":
            bare = self._token.sign(self._identifier, digest, "EC_EDWARDS")
        else:
            both = self._token.sign(self._identifier, digest, "EC")
            half = len(both) // 2
            bare = mpint(int.from_bytes(both[:half], "big")) + mpint(int.from_bytes(both[half:], "big"))
        signature = text(row.signature) + string(bare)
        if not self.public.verify(row.signature, data, signature):
            raise KeyFileError(f'the token\'s signature by "{printable(self.name)}" is wrong')
        return signature


def _attribute(each: Any, name: Any) -> Any:
    """An object's attribute, None where it has none of that name."""
    import pkcs11

    try:
        return each[name]
    except pkcs11.PKCS11Error:
        return None


def _of_public_key(each: Any) -> PublicKey | None:
    """The key of a public key object, None for a kind that SSH has no use for."""
    from pkcs11 import Attribute, KeyType

    kind = _attribute(each, Attribute.KEY_TYPE)
    if kind == KeyType.RSA:
        numbers = [_attribute(each, name) for name in (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS)]
        if not all(numbers):
            return None
        return _parsed(text("ssh-rsa") + b"".join(mpint(int.from_bytes(number, "big")) for number in numbers))
    parameters, point = _attribute(each, Attribute.EC_PARAMS), _attribute(each, Attribute.EC_POINT)
    if not parameters or not point:
        return None
    point = _without_der(bytes(point))
    if kind == KeyType.EC and bytes(parameters) in _CURVES:
        curve = _CURVES[bytes(parameters)]
        return _parsed(text(f"ecdsa-sha2-{curve}") + text(curve) + string(point))
    if kind == KeyType.EC_EDWARDS and bytes(parameters) in _ED25519_PARAMETERS:
        return _parsed(text("ssh-ed25519") + string(point))
    return None


def _without_der(point: bytes) -> bytes:
    """A point as it is, of what should be an OCTET STRING in DER; some tokens leave that out."""
    if len(point) > 2 and point[0] == 4 and point[1] < 0x80 and len(point) == 2 + point[1]:
        return point[2:]
    if len(point) > 3 and point[:2] == b"\x04\x81" and len(point) == 3 + point[2]:
        return point[3:]
    return point


def _of_certificate(each: Any) -> PublicKey | None:
    """The key in an X.509 certificate, None for a kind that SSH has no use for."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509 import load_der_x509_certificate
    from pkcs11 import Attribute

    value = _attribute(each, Attribute.VALUE)
    if not value:
        return None
    try:
        key: Any = load_der_x509_certificate(bytes(value)).public_key()
        line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except Exception:  # the package has many ways to refuse a certificate or a key
        return None
    from binascii import a2b_base64

    return _parsed(a2b_base64(line.split()[1]))


def _parsed(blob: bytes) -> PublicKey | None:
    try:
        return PublicKey.parse(blob)
    except ProtocolError:
        return None


@contextlib.contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """While a library may wait for a reader or a touch, Ctrl-C ends the process: Python would only note it."""
    found = signal.getsignal(signal.SIGINT)
    if found == signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, found)
