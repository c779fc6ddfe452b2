"""-Q: lists of what is supported, from the same tables that negotiate. Nothing is configured or connected here."""

from __future__ import annotations

from pyssh_cli.config.algorithms import (
    CERTIFICATE_KEY_TYPES,
    CIPHER,
    KEX_METHOD,
    KEY_ALGORITHM,
    MAC,
)
from pyssh_cli.errors import PysshError
from pyssh_cli.keys.algorithms import KEY_TYPES
from pyssh_cli.protocol.ciphers import CIPHERS
from pyssh_cli.protocol.compression import COMPRESSIONS

_PLAIN_KEYS = tuple(name for name in KEY_TYPES if name not in CERTIFICATE_KEY_TYPES)
_CERTIFICATES = tuple(name for name in KEY_TYPES if name in CERTIFICATE_KEY_TYPES)
_SIGNATURES = tuple(name for name in KEY_ALGORITHM.supported if name not in CERTIFICATE_KEY_TYPES)

QUERIES: dict[str, tuple[str, ...]] = {
    "cipher": CIPHER.supported,
    "cipher-auth": tuple(name for name, spec in CIPHERS.items() if spec.aead),
    "compression": tuple(COMPRESSIONS),
    "kex": KEX_METHOD.supported,
    "key": tuple(KEY_TYPES),
    "key-ca-sign": _SIGNATURES,
    "key-cert": _CERTIFICATES,
    "key-plain": _PLAIN_KEYS,
    "key-sig": KEY_ALGORITHM.supported,
    "mac": MAC.supported,
    "protocol-version": ("2",),
    "sig": _SIGNATURES,
}
"""Each query's answer, a line each."""

_KEYWORDS = {
    "casignaturealgorithms": "key-ca-sign",
    "ciphers": "cipher",
    "hostbasedacceptedalgorithms": "key-sig",
    "hostbasedkeytypes": "key-sig",
    "hostkeyalgorithms": "key-sig",
    "kexalgorithms": "kex",
    "macs": "mac",
    "pubkeyacceptedalgorithms": "key-sig",
    "pubkeyacceptedkeytypes": "key-sig",
}


def answer(query: str) -> str:
    """The lines for a query, or for the keyword of an algorithm list. Raises PysshError for any other."""
    if query == "help":
        return "\n".join(QUERIES)
    name = _KEYWORDS.get(query.lower(), query)
    if name not in QUERIES:
        raise PysshError(f'Unsupported query "{query}"')
    return "\n".join(QUERIES[name])
