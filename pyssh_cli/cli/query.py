"""-Q: lists of what is supported, from the same tables that negotiate. Nothing is configured or connected here."""

from __future__ import annotations

from pyssh_cli.config.algorithms import (
    CA_ALGORITHM,
    CIPHER,
    KEX_METHOD,
    KEY_ALGORITHM,
    KEY_NAMES,
    MAC,
    USER_KEY_ALGORITHM,
    in_order,
)
from pyssh_cli.config.keywords import ALGORITHM_LISTS, ALIASES
from pyssh_cli.errors import PysshError
from pyssh_cli.keys.algorithms import CERTIFICATE_TYPES, KEY_TYPES
from pyssh_cli.protocol.ciphers import CIPHERS
from pyssh_cli.protocol.compression import COMPRESSIONS

_KEYS = in_order((*KEY_TYPES, *CERTIFICATE_TYPES), KEY_NAMES)

QUERIES: dict[str, tuple[str, ...]] = {
    "cipher": CIPHER.supported,
    "cipher-auth": tuple(name for name in CIPHER.supported if CIPHERS[name].aead),
    "compression": tuple(COMPRESSIONS),
    "kex": KEX_METHOD.supported,
    "kex-gss": (),
    "key": _KEYS,
    "key-ca-sign": CA_ALGORITHM.supported,
    "key-cert": tuple(name for name in _KEYS if name in CERTIFICATE_TYPES),
    "key-plain": tuple(name for name in _KEYS if name in KEY_TYPES),
    "key-sig": USER_KEY_ALGORITHM.supported,
    "mac": MAC.supported,
    "protocol-version": ("2",),
    "sig": tuple(name for name in KEY_ALGORITHM.supported if name in CA_ALGORITHM.known),
}
"""Each query's answer, a line each, in the order of ssh -Q help and of its answers."""

_OLD_NAMES = {"hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms"}
"""Names that -Q takes, and files do not."""
_OF_KIND = {
    CIPHER: "cipher",
    MAC: "mac",
    KEX_METHOD: "kex",
    KEY_ALGORITHM: "key-sig",
    USER_KEY_ALGORITHM: "key-sig",
    CA_ALGORITHM: "key-ca-sign",
}


def answer(query: str) -> str:
    """The lines for a query, or for the keyword of an algorithm list; PysshError for any other."""
    if query == "help":
        return "\n".join(QUERIES)
    if query in QUERIES:
        return "\n".join(QUERIES[query])
    keyword = _OLD_NAMES.get(query.lower(), query.lower())
    if keyword == "gssapikexalgorithms":
        return answer("kex-gss")
    kind = ALGORITHM_LISTS.get(ALIASES.get(keyword, keyword))
    if kind is None:
        raise PysshError(f'Unsupported query "{query}"')
    return "\n".join(QUERIES[_OF_KIND[kind]])
