"""Diffie-Hellman in the groups of RFC 2409 and RFC 3526, as RFC 4253 section 8 and RFC 8268 name them.

diffie-hellman-group1-sha1, -group14-sha1, -group14-sha256, -group16-sha512 and -group18-sha512. What every group
needs is here too, for the groups that a server brings (`gex`).
"""

from __future__ import annotations

from secrets import randbits

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.kex import KexResult, kex_failed
from pyssh_cli.protocol.messages import KEX_FIRST, name_of
from pyssh_cli.wire import Reader, mpint

INIT = KEX_FIRST
REPLY = KEX_FIRST + 1

GENERATOR = 2

_GROUP_1 = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
    16,
)

_GROUP_14 = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f"
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510"
    "15728e5a8aacaa68ffffffffffffffff",
    16,
)

_GROUP_16 = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f"
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510"
    "15728e5a8aaac42dad33170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7"
    "abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200c"
    "bbe117577a615d6c770988c0bad946e208e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d7"
    "88719a10bdba5b2699c327186af4e23c1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6"
    "287c59474e6bc05d99b2964fa090c3a2233ba186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa9"
    "93b4ea988d8fddc186ffb7dc90a6c08f4df435c934063199ffffffffffffffff",
    16,
)

_GROUP_18 = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f"
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510"
    "15728e5a8aaac42dad33170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7"
    "abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200c"
    "bbe117577a615d6c770988c0bad946e208e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d7"
    "88719a10bdba5b2699c327186af4e23c1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6"
    "287c59474e6bc05d99b2964fa090c3a2233ba186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa9"
    "93b4ea988d8fddc186ffb7dc90a6c08f4df435c93402849236c3fab4d27c7026c1d4dcb2602646dec9751e763dba37bd"
    "f8ff9406ad9e530ee5db382f413001aeb06a53ed9027d831179727b0865a8918da3edbebcf9b14ed44ce6cbaced4bb1b"
    "db7f1447e6cc254b332051512bd7af426fb8f401378cd2bf5983ca01c64b92ecf032ea15d1721d03f482d7ce6e74fef6"
    "d55e702f46980c82b5a84031900b1c9e59e7c97fbec7e8f323a97a7e36cc88be0f1d45b7ff585ac54bd407b22b4154aa"
    "cc8f6d7ebf48e1d814cc5ed20f8037e0a79715eef29be32806a1d58bb7c5da76f550aa3d8a1fbff0eb19ccb1a313d55c"
    "da56c9ec2ef29632387fe8d76e3c0468043e8f663f4860ee12bf2d5b0b7474d6e694f91e6dbe115974a3926f12fee5e4"
    "38777cb6a932df8cd8bec4d073b931ba3bc832b68d9dd300741fa7bf8afc47ed2576f6936ba424663aab639c5ae4f568"
    "3423b4742bf1c978238f16cbe39d652de3fdb8befc848ad922222e04a4037c0713eb57a81a23f0c73473fc646cea306b"
    "4bcbc8862f8385ddfa9d4b7fa2c087e879683303ed5bdd3a062b3cf5b3a278a66d2a13f83f44f82ddf310ee074ab6a36"
    "4597e899a0255dc164f31cc50846851df9ab48195ded7ea1b1d510bd7ee74d73faf36bc31ecfa268359046f4eb879f92"
    "4009438b481c6cd7889a002ed5ee382bc9190da6fc026e479558e4475677e9aa9e3050e2765694dfc81f56e880b96e71"
    "60c980dd98edd3dfffffffffffffffff",
    16,
)


PRIMES = {1: _GROUP_1, 14: _GROUP_14, 16: _GROUP_16, 18: _GROUP_18}
"""The safe primes by the group's number in a method's name: 1 is that of RFC 2409 section 6.2, the others those of
RFC 3526 sections 3, 5 and 7. The generator is 2."""

MIN_BITS_SET = 4
"""A public value with fewer 1 bits is none that anybody gets by chance."""


def _exponent_bits(prime: int) -> int:
    """The size of the secret exponent: well over twice the strength that RFC 3526 section 8 gives the group."""
    return 512 if prime.bit_length() <= 4096 else 768


class Share:
    """Our half of an exchange in the group of that prime and generator: `public` is what the server is sent (e).

    The arithmetic is Python's own `pow`: `cryptography` is giving finite-field Diffie-Hellman up. Its time is
    not constant, but each exponent is used for one exchange and then forgotten.
    """

    def __init__(self, prime: int, generator: int) -> None:
        self._prime = prime
        bits = _exponent_bits(prime)
        self._secret = randbits(bits) | 1 << (bits - 1)
        self.public = pow(generator, self._secret, prime)

    def agree(self, peer: int) -> int:
        """The shared secret with the server's public value f. Raises ProtocolError for a bad one."""
        if not 1 < peer < self._prime - 1:
            raise kex_failed("Bad Diffie-Hellman public key: out of range")
        if peer.bit_count() < MIN_BITS_SET:
            raise kex_failed(f"Bad Diffie-Hellman public key: only {peer.bit_count()} bits are set")
        shared = pow(peer, self._secret, self._prime)
        if not 1 < shared < self._prime - 1:
            raise kex_failed("Bad Diffie-Hellman public key: it yields no secret")
        return shared


def read_reply(payload: memoryview, expected: int) -> tuple[bytes, int, bytes]:
    """The message number `expected`: host key, the server's public value, signature. Raises ProtocolError."""
    reader = Reader(payload)
    number = reader.byte()
    if number != expected:
        raise ProtocolError(f"Unexpected {name_of(number)} during key exchange")
    host_key, peer, signature = reader.string(), reader.mpint(), reader.string()
    reader.end()
    return host_key, peer, signature


class DiffieHellman:
    """One run on the client's side, in the group of that number."""

    def __init__(self, group: int) -> None:
        self._share = Share(PRIMES[group], GENERATOR)

    def start(self) -> bytes:
        return bytes((INIT,)) + mpint(self._share.public)

    def receive(self, payload: memoryview) -> KexResult:
        host_key, peer, signature = read_reply(payload, REPLY)
        shared = self._share.agree(peer)
        return KexResult(host_key, signature, mpint(self._share.public) + mpint(peer), mpint(shared))
