"""The message numbers of SSH-2 (RFC 4250 section 4.1, RFC 8308, OpenSSH's PROTOCOL) and their names."""

from __future__ import annotations

DISCONNECT = 1
IGNORE = 2
UNIMPLEMENTED = 3
DEBUG = 4
SERVICE_REQUEST = 5
SERVICE_ACCEPT = 6
EXT_INFO = 7
KEXINIT = 20
NEWKEYS = 21
KEX_FIRST = 30
"""30 to 49 belong to the key exchange method in use."""
KEX_LAST = 49
USERAUTH_REQUEST = 50
USERAUTH_FAILURE = 51
USERAUTH_SUCCESS = 52
USERAUTH_BANNER = 53
USERAUTH_PK_OK = 60
"""60 to 79 belong to the user authentication method in use, and mean another thing in each."""
USERAUTH_PASSWD_CHANGEREQ = 60
USERAUTH_INFO_REQUEST = 60
USERAUTH_INFO_RESPONSE = 61
GLOBAL_REQUEST = 80
REQUEST_SUCCESS = 81
REQUEST_FAILURE = 82
CHANNEL_OPEN = 90
CHANNEL_OPEN_CONFIRMATION = 91
CHANNEL_OPEN_FAILURE = 92
CHANNEL_WINDOW_ADJUST = 93
CHANNEL_DATA = 94
CHANNEL_EXTENDED_DATA = 95
CHANNEL_EOF = 96
CHANNEL_CLOSE = 97
CHANNEL_REQUEST = 98
CHANNEL_SUCCESS = 99
CHANNEL_FAILURE = 100
PING = 192
PONG = 193

EXTENDED_DATA_STDERR = 1
"""The one data_type_code of RFC 4254 section 5.2."""

# Reason codes of SSH_MSG_DISCONNECT (RFC 4253 section 11.1).
DISCONNECT_PROTOCOL_ERROR = 2
DISCONNECT_KEY_EXCHANGE_FAILED = 3
DISCONNECT_MAC_ERROR = 5
DISCONNECT_COMPRESSION_ERROR = 6
DISCONNECT_HOST_KEY_NOT_VERIFIABLE = 9
DISCONNECT_BY_APPLICATION = 11

_NAMES = {
    value: name
    for name, value in globals().items()
    if name.isupper()
    and isinstance(value, int)
    and not name.startswith(("DISCONNECT_", "EXTENDED_", "KEX_"))
    and not name.endswith(("_FIRST", "_LAST"))
}
_NAMES[60] = "USERAUTH_PK_OK or method-specific"


def name_of(number: int) -> str:
    """What the RFCs call the message, for debug output and errors."""
    return f"SSH_MSG_{_NAMES[number]}" if number in _NAMES else f"message {number}"
