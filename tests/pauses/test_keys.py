"""States are sealed with the first key and opened with each of them, and nothing else opens."""

import os

import pytest

from reasoning_grpc.pauses.keys import KEY_BYTES, NotOurs, SealingKeys

OLD, NEW = bytes(KEY_BYTES), b"\x01" * KEY_BYTES


def test_a_rotated_key_still_opens() -> None:
    """After a rotation the new key seals, and the old one opens what it sealed."""
    before, after = SealingKeys([OLD]), SealingKeys([NEW, OLD])

    assert after.open(before.seal(b"state")) == b"state"
    with pytest.raises(NotOurs):
        before.open(after.seal(b"state"))


def test_a_key_that_is_gone_does_not_open() -> None:
    """What a key sealed that is no longer listed cannot be opened."""
    sealed = SealingKeys([OLD]).seal(b"state")

    with pytest.raises(NotOurs):
        SealingKeys([NEW]).open(sealed)


def test_equal_contents_are_sealed_differently() -> None:
    """Nobody sees whether two states are equal."""
    keys = SealingKeys([OLD])

    assert keys.seal(b"state") != keys.seal(b"state")


def test_no_changed_byte_opens() -> None:
    """Every byte of a sealed state counts, its header included."""
    keys = SealingKeys([OLD])
    sealed = keys.seal(b"state")

    for place in range(len(sealed)):
        with pytest.raises(NotOurs):
            keys.open(sealed[:place] + bytes([sealed[place] ^ 0x80]) + sealed[place + 1 :])
        with pytest.raises(NotOurs):
            keys.open(sealed[:place])


def test_other_bytes_do_not_open() -> None:
    """Bytes of any length that nobody sealed are refused in one way."""
    keys = SealingKeys([OLD])

    for size in range(100):
        with pytest.raises(NotOurs):
            keys.open(os.urandom(size))
