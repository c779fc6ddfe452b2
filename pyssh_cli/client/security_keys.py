"""Signatures by FIDO authenticators: keys of which a file holds only what the authenticator has to be told.

The authenticator is reached by OpenSSH's program ssh-sk-helper where there is one (its messages are in OpenSSH's
ssh-sk-helper.c), or else by the library that SecurityKeyProvider names (its functions are in OpenSSH's sk-api.h).
Keys that an agent holds are its own affair.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING, Any

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.agent import MAX_REPLY_SIZE
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, SK_ED25519
from pyssh_cli.log import printable, write_all
from pyssh_cli.wire import Reader, mpint, string, text, uint32

if TYPE_CHECKING:
    import ctypes
    import subprocess

    from pyssh_cli.config.options import Options
    from pyssh_cli.keys.numbers import SecurityKeyNumbers
    from pyssh_cli.keys.private import PrivateKey
    from pyssh_cli.log import Log
    from pyssh_cli.terminal.questions import Questions

HELPERS = tuple(
    f"/usr/{directory}/ssh-sk-helper"
    for directory in ("lib/openssh", "libexec/openssh", "libexec", "lib/ssh", "lib/misc", "local/libexec")
)
"""Where systems keep the helper; SSH_SK_HELPER comes before them."""

HELPER_VERSION = 5
"""Of the helper's protocol: OpenSSH 8.4 to 10."""

API_VERSIONS = range(0x0007, 0x000A + 1)
"""Of a provider's library, the upper half of what it says: since the seventh it hashes by itself."""

PRESENCE = 0x01
"""The flag of a key that wants a touch for each signature."""

NOTICE_SECONDS = 1.0
"""How long the program that shows a notice may take to go away once it is told to."""

_NO_HELPER = (
    "security keys need OpenSSH's program ssh-sk-helper (in Debian's openssh-client; SSH_SK_HELPER"
    " says where it is), or a library that SecurityKeyProvider names"
)

_SIGN = 1
_ERROR = 0
_TROUBLES = {
    43: "the PIN is wrong, or one is needed",
    59: "requested feature not supported",
    60: "device not found",
}
"""OpenSSH's error numbers, as the helper tells them, that say something to the person."""

_LIBRARY_TROUBLES = {-2: 59, -3: 43, -4: 60}


class PinNeeded(KeyFileError):
    """The authenticator wants a PIN, or another one."""


class HelperUnusable(KeyFileError):
    """The helper cannot be run, or speaks another protocol."""


class Signer:
    """Has authenticators sign, with the notice to touch them and the question for the PIN."""

    def __init__(self, options: Options, log: Log, questions: Questions) -> None:
        assert options.security_key_provider is not None
        self._provider = options.security_key_provider
        self._fingerprint_hash = options.fingerprint_hash
        self._batch_mode = options.batch_mode
        self._log = log
        self._questions = questions

    def sign(self, name: str, key: PrivateKey, algorithm: str, data: bytes) -> bytes:
        """The whole signature blob by the key in the file `name`. Raises KeyFileError."""
        row = KEY_ALGORITHMS.get(algorithm)
        if row is None or row.signature != key.public.type:
            raise KeyFileError(f"a key of type {key.public.type} cannot sign with {algorithm}")
        try:
            return self._attempt(key, data, "")
        except PinNeeded:
            pin = self._questions.ask_secret(f"Enter PIN for {key.public.short_name} key {name}: ")
            if not pin:
                raise KeyFileError(
                    f'signing failed for {key.public.short_name} "{name}": no PIN was given'
                ) from None
        try:
            return self._attempt(key, data, pin)
        except PinNeeded as error:
            raise KeyFileError(f'signing failed for {key.public.short_name} "{name}": {error}') from None

    def _attempt(self, key: PrivateKey, data: bytes, pin: str) -> bytes:
        numbers = key.security_key
        assert numbers is not None
        notice = None
        self._log.clear()
        if numbers.flags & PRESENCE:
            fingerprint = key.public.fingerprint(self._fingerprint_hash)
            notice = Notice(
                f"Confirm user presence for key {key.public.short_name} {fingerprint}", self._batch_mode
            )
        try:
            signature = self._signed(key, numbers, data, pin)
            if notice:
                notice.done("User presence confirmed")
        finally:
            if notice:
                notice.done("")
        if not key.public.verify(key.public.type, data, signature):
            raise KeyFileError("the security key's signature is wrong")
        return signature

    def _signed(self, key: PrivateKey, numbers: SecurityKeyNumbers, data: bytes, pin: str) -> bytes:
        helper = helper_path(os.environ)
        if helper:
            self._log.debug1(f"starting {helper}")
            request = helper_request(key, self._provider, data, pin, self._log.level + 1)
            try:
                return _by_helper(helper, request)
            except HelperUnusable as error:
                if self._provider == "internal":
                    raise
                self._log.debug1(str(error))
        elif self._provider == "internal":
            raise KeyFileError(_NO_HELPER)
        return _in_a_child(lambda: _by_library(self._provider, numbers, data, pin))


class Notice:
    """A line that asks for a touch, on a stderr that is a terminal or else by askpass, until `done`."""

    def __init__(self, text: str, batch_mode: bool) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self._shown = not batch_mode and os.isatty(2)
        if self._shown:
            self._write(text)
        else:
            self._ask(text)

    def _ask(self, text: str) -> None:
        from pyssh_cli.terminal.askpass import askpass_policy

        if askpass_policy(os.environ) == "never":
            return
        import subprocess

        program = os.environ.get("SSH_ASKPASS") or "ssh-askpass"
        environment = {**os.environ, "SSH_ASKPASS_PROMPT": "none"}
        try:
            self._program = subprocess.Popen([program, text], env=environment, stdout=subprocess.DEVNULL)
        except OSError:
            return

    @staticmethod
    def _write(text: str) -> None:
        write_all(2, f"\r{printable(text)}\r\n".encode())

    def done(self, text: str) -> None:
        """It has been touched, or that is of no more use. `text` is shown where the notice was."""
        if self._shown and text:
            self._write(text)
        if self._program:
            import subprocess

            self._program.terminate()
            try:
                self._program.wait(NOTICE_SECONDS)
            except subprocess.TimeoutExpired:
                self._program.kill()
                self._program.wait()
            self._program = None


# The helper ------------------------------------------------------------------------------------------------------


def helper_path(environment: Any) -> str | None:
    """The helper to use: SSH_SK_HELPER's, or the first that is there; None for none."""
    named = environment.get("SSH_SK_HELPER")
    if named:
        return str(named)
    return next((path for path in HELPERS if os.access(path, os.X_OK)), None)


def check_provider(options: Options) -> None:
    """See whether there is what SecurityKeyProvider needs, a helper or a library. Raises KeyFileError."""
    provider = options.security_key_provider or "internal"
    helper = helper_path(os.environ)
    if provider == "internal" and helper is None:
        raise KeyFileError(_NO_HELPER)
    if provider == "internal" and helper and not os.access(helper, os.X_OK):
        raise KeyFileError(f"the helper {helper} of SSH_SK_HELPER cannot be run")
    if os.path.isabs(provider) and not os.access(provider, os.R_OK):
        raise KeyFileError(f"the library {provider} of SecurityKeyProvider is not there")


def helper_request(key: PrivateKey, provider: str, data: bytes, pin: str, log_level: int) -> bytes:
    """The message that asks for a signature, with the length and the version before it."""
    body = uint32(_SIGN) + b"\1" + uint32(max(0, log_level))
    body += string(key.serialized()) + text(provider) + string(data)
    body += string(b"") + uint32(0) + text(pin)  # no algorithm to choose, no old mistakes to heed
    return string(bytes([HELPER_VERSION]) + body)


def helper_answer(reply: bytes) -> bytes:
    """The signature in the helper's answer. Raises PinNeeded or KeyFileError."""
    try:
        outer = Reader(reply)
        reader = Reader(outer.string())
        outer.end()
        if reader.byte() != HELPER_VERSION:
            raise HelperUnusable("ssh-sk-helper speaks another version of its protocol")
        kind = reader.uint32()
        if kind == _ERROR:
            raise _trouble(reader.uint32())
        if kind != _SIGN:
            raise HelperUnusable(f"ssh-sk-helper answers with message {kind}")
        signature = reader.string()
        reader.end()
    except ProtocolError as error:
        raise HelperUnusable(f"ssh-sk-helper's answer is malformed: {error}") from None
    return signature


def _trouble(number: int) -> KeyFileError:
    words = _TROUBLES.get(number)
    if number == 43:
        return PinNeeded(_TROUBLES[43])
    return KeyFileError(f"the security key did not sign: {words or f'error {number}'}")


def _by_helper(helper: str, request: bytes) -> bytes:
    import subprocess

    try:
        done = subprocess.run([helper], input=request, stdout=subprocess.PIPE, check=False)
    except OSError as error:
        raise HelperUnusable(f'helper "{helper}" unusable: {error.strerror}') from None
    if not done.stdout:
        raise HelperUnusable(f"{helper} ended with status {done.returncode} and no answer")
    return helper_answer(done.stdout[:MAX_REPLY_SIZE])


# The library -----------------------------------------------------------------------------------------------------


def _in_a_child(work: Any) -> bytes:
    """What `work()` returns, done in a child process, so that Ctrl-C ends it however long a library waits for a
    touch, and what it breaks stays there. Raises PinNeeded or KeyFileError."""
    read_end = write_end = -1
    try:
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        child = os.fork()
    except OSError as error:
        for end in (read_end, write_end):
            if end >= 0:
                os.close(end)
        raise KeyFileError(f"no process for the security key's library: {error.strerror or error}") from None
    if child == 0:
        _child(work, read_end, write_end)
    os.close(write_end)
    try:
        with open(read_end, "rb") as pipe:
            answer = pipe.read(MAX_REPLY_SIZE)
    except BaseException:
        import signal

        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)
    if not answer:
        raise KeyFileError("the security key's library has crashed")
    if answer[0] == 0:
        return answer[1:]
    if answer[0] == 1:
        raise _trouble(int.from_bytes(answer[1:], "big"))
    raise KeyFileError(answer[1:].decode("utf-8", "replace"))


def _child(work: Any, read_end: int, write_end: int) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.close(read_end)
    answer = b"\2the security key's library cannot be used"
    try:
        answer = b"\0" + work()
    except PinNeeded:
        answer = b"\1" + uint32(43)
    except Exception as error:
        answer = b"\2" + str(error).encode()
    finally:
        os.write(write_end, answer)
        os._exit(0)


def _by_library(path: str, numbers: SecurityKeyNumbers, data: bytes, pin: str) -> bytes:
    """The signature by the library `path`. Raises PinNeeded or KeyFileError."""
    import ctypes

    try:
        library = ctypes.CDLL(path)
        library.sk_api_version.restype = ctypes.c_uint32
        version = library.sk_api_version()
        sign = library.sk_sign
    except (OSError, AttributeError) as error:
        raise KeyFileError(f'Provider "{path}" cannot be used: {error}') from None
    if version >> 16 not in API_VERSIONS:
        raise KeyFileError(f'Provider "{path}" implements unsupported version 0x{version:08x}')

    class Response(ctypes.Structure):
        _fields_ = (
            ("flags", ctypes.c_uint8),
            ("counter", ctypes.c_uint32),
            ("sig_r", ctypes.POINTER(ctypes.c_uint8)),
            ("sig_r_len", ctypes.c_size_t),
            ("sig_s", ctypes.POINTER(ctypes.c_uint8)),
            ("sig_s_len", ctypes.c_size_t),
        )

    size, text_pointer = ctypes.c_size_t, ctypes.c_char_p
    sign.restype = ctypes.c_int
    sign.argtypes = (
        ctypes.c_uint32, text_pointer, size, text_pointer, text_pointer, size,
        ctypes.c_uint8, text_pointer, ctypes.c_void_p, ctypes.POINTER(ctypes.POINTER(Response)),
    )  # fmt: skip
    answer = ctypes.POINTER(Response)()
    secret = pin.encode("utf-8", "surrogateescape") if pin else None
    algorithm = 1 if numbers.type == SK_ED25519 else 0
    result = sign(
        algorithm, data, len(data), numbers.application, numbers.handle, len(numbers.handle),
        numbers.flags, secret, None, ctypes.byref(answer),
    )  # fmt: skip
    if result != 0 or not answer:
        raise _trouble(_LIBRARY_TROUBLES.get(result, 4))
    made = answer.contents
    r, s = _bytes(made.sig_r, made.sig_r_len), _bytes(made.sig_s, made.sig_s_len)
    bare = r if algorithm else mpint(int.from_bytes(r, "big")) + mpint(int.from_bytes(s, "big"))
    return text(numbers.type) + string(bare) + struct.pack(">BI", made.flags, made.counter)


def _bytes(pointer: ctypes._Pointer[ctypes.c_uint8], length: int) -> bytes:
    return bytes(pointer[:length]) if pointer and 0 < length <= 1024 else b""
