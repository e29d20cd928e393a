"""Checksums that are part of a number or a name: one that is right is hardly there by chance. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256

from claude_bottle.dlp.rules.keccak import is_eip55

_BASE58 = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_NO_DIGIT = re.compile(rb"[ -]")


def is_base58check(text: bytes) -> bool:
    """Whether the last four bytes are of the double SHA-256 of the others (Bitcoin wiki, Base58Check encoding)."""
    value = 0
    for letter in text:
        digit = _BASE58.find(letter)
        if digit < 0:
            return False
        value = value * 58 + digit
    zeros = len(text) - len(text.lstrip(b"1"))
    data = bytes(zeros) + value.to_bytes((value.bit_length() + 7) // 8, "big")
    return len(data) > 4 and sha256(sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def is_bech32(text: bytes) -> bool:
    """A name, a 1, and characters of which the last six are the checksum (BIP 173 and BIP 350)."""
    name, _, data = text.lower().rpartition(b"1")
    numbers = [_BECH32.find(letter) for letter in data]
    if not name or len(numbers) < 6 or min(numbers) < 0:
        return False
    check = 1
    for number in [*(letter >> 5 for letter in name), 0, *(letter & 31 for letter in name), *numbers]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ number
        for bit, part in enumerate(_GENERATOR):
            check ^= part if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)


def is_card_number(text: bytes) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B, Luhn) and the digits differ."""
    digits = [letter - 48 for letter in _NO_DIGIT.sub(b"", text)][::-1]
    return sum(digits[::2]) % 10 == -sum(d * 2 - 9 * (d > 4) for d in digits[1::2]) % 10 and len(set(digits)) > 1


def is_iban(text: bytes) -> bool:
    """ISO 13616: the rest, then country and check digits, with letters as numbers from 10 on, is 1 modulo 97."""
    plain = _NO_DIGIT.sub(b"", text).decode("latin-1")
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


CHECKS: dict[str, Callable[[bytes], bool]] = {
    "base58check": is_base58check,
    "bech32": is_bech32,
    "luhn": is_card_number,
    "iban": is_iban,
    "eip55": is_eip55,
}
