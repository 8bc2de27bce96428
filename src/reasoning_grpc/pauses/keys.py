"""`SealingKeys`: encrypts and authenticates states with AES-256-GCM, so that nobody else can read or make one."""

import hashlib
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_FORMAT: Final = b"\x01"
"""The first byte of a sealed state. It changes with the form of what is sealed, so that older states are refused."""
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = len(_FORMAT) + _ID_BYTES


class NotOurs(Exception):
    """The bytes were not sealed with one of the keys, or were altered."""


class SealingKeys:
    """The keys of the states of paused runs: the first one seals, and each of them opens."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Each key has `KEY_BYTES` bytes; there is at least one."""
        self._seal_id: Final = _name_key(keys[0])
        self._ciphers: Final = {_name_key(key): AESGCM(key) for key in keys}

    def seal(self, content: bytes) -> bytes:
        """Returns the content, sealed with the first key."""
        header, nonce = _FORMAT + self._seal_id, os.urandom(_NONCE_BYTES)
        return header + nonce + self._ciphers[self._seal_id].encrypt(nonce, content, header)

    def open(self, sealed: bytes) -> bytes:
        """Returns the content of a sealed state. Raises NotOurs."""
        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        cipher = self._ciphers.get(header[len(_FORMAT) :])
        if cipher is None or not header.startswith(_FORMAT) or len(nonce) < _NONCE_BYTES:
            raise NotOurs
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], header)
        except InvalidTag:
            raise NotOurs from None


def _name_key(key: bytes) -> bytes:
    """Returns the name of a key in the states that it seals, from which the key cannot be found."""
    return hashlib.sha256(b"reasoning-grpc pause key" + key).digest()[:_ID_BYTES]
