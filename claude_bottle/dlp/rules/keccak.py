"""Keccak-256 as Ethereum uses it, from before SHA-3 was padded otherwise; and the checksum of its addresses. Pure."""

from __future__ import annotations

import hashlib

_LANES, _RATE, _MASK = 25, 136, (1 << 64) - 1


def _constants() -> list[int]:
    """The 24 round constants, by the shift register of the Keccak reference (version 3.0, section 1.2)."""
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for bit in range(7):
            if register & 1:
                constant |= 1 << ((1 << bit) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


_ROUNDS = _constants()


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600]; the lane of column x and row y is at x + 5 y."""
    for constant in _ROUNDS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ mixed[at % 5] for at, lane in enumerate(lanes)]
        x, y, moved = 1, 0, lanes[1]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            lanes[x + 5 * y], moved = _turned(moved, (step + 1) * (step + 2) // 2 % 64), lanes[x + 5 * y]
        rows = [lanes[at : at + 5] for at in range(0, _LANES, 5)]
        lanes = [row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]) for row in rows for x in range(5)]
        lanes[0] ^= constant
    return lanes


def _turned(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK


def _own(data: bytes) -> str:
    """Where OpenSSL has none."""
    padded = bytearray(data + b"\x01" + bytes((-len(data) - 1) % _RATE))
    padded[-1] |= 0x80
    lanes = [0] * _LANES
    for start in range(0, len(padded), _RATE):
        for at in range(_RATE // 8):
            lanes[at] ^= int.from_bytes(padded[start + 8 * at : start + 8 * at + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4]).hex()


def keccak_256(data: bytes) -> str:
    """In hexadecimal. OpenSSL has it from 3.2 on, as in the proxies' image."""
    try:
        return hashlib.new("keccak-256", data).hexdigest()
    except ValueError:
        return _own(data)


def is_eip55(text: bytes) -> bool:
    """0x and 40 hexadecimal digits, whose letters are capitals where the digit of the digest is 8 or more (EIP-55).

    Addresses in small letters or in capitals alone have no checksum, and are none here.
    """
    digits = text[2:].decode("latin-1")
    small = digits.lower()
    if digits in (small, digits.upper()):
        return False
    digest = keccak_256(small.encode())
    return all(letter.isdigit() or letter.isupper() == (int(digest[at], 16) > 7) for at, letter in enumerate(digits))
