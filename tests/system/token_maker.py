"""Fills a token: `token_maker.py LIBRARY LABEL PIN [CERTIFICATE]` makes a key of each kind, or adds a certificate.

A program of its own, because a library sees the tokens that were there when it was loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pkcs11
from pkcs11 import Attribute, CertificateType, KeyType, Mechanism, ObjectClass, Session
from pkcs11.util.ec import encode_named_curve_parameters

CURVES = ("secp256r1", "secp384r1", "secp521r1")


def make_keys(session: Session) -> None:
    """A key of each kind, labelled with its name."""
    session.generate_keypair(KeyType.RSA, 2048, id=b"\1", label="rsa", store=True)
    for number, curve in enumerate(CURVES, 2):
        kind = {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
        made = session.create_domain_parameters(KeyType.EC, kind, local=True)
        made.generate_keypair(id=bytes([number]), label=curve, store=True)
    kind = {Attribute.EC_PARAMS: b"\x13\x0cedwards25519"}
    made = session.create_domain_parameters(KeyType.EC_EDWARDS, kind, local=True)
    mechanism = Mechanism.EC_EDWARDS_KEY_PAIR_GEN
    made.generate_keypair(id=b"\x05", label="ed25519", store=True, mechanism=mechanism)


def add_certificate(session: Session, value: bytes) -> None:
    """An X.509 certificate in DER, labelled x509."""
    session.create_object({
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        Attribute.VALUE: value,
        Attribute.SUBJECT: b"0\0",
        Attribute.ID: b"\x09",
        Attribute.LABEL: "x509",
        Attribute.TOKEN: True,
    })  # fmt: skip


def main(library: str, label: str, pin: str, certificate: str = "") -> None:
    """Open the token and fill it."""
    token = pkcs11.lib(library).get_token(token_label=label)
    with token.open(rw=True, user_pin=pin) as session:
        if certificate:
            add_certificate(session, Path(certificate).read_bytes())
        else:
            make_keys(session)


if __name__ == "__main__":
    main(*sys.argv[1:])
