"""How a text can be written: by the standard library, or as a standard says. None is made for the engine."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Callable

WRITINGS: dict[str, Callable[[bytes], bytes]] = {
    "base32": base64.b32encode,
    "base32 in small letters": lambda s: base64.b32encode(s).lower().rstrip(b"="),
    "base85": base64.b85encode,  # RFC 1924
    "ascii85": base64.a85encode,  # Adobe
    "ascii85 with its marks": lambda s: base64.a85encode(s, adobe=True),
    "rot13": lambda s: codecs.encode(s.decode(), "rot13").encode(),
    "backwards": lambda s: s[::-1],
    "utf-16": lambda s: s.decode().encode("utf-16"),
    "utf-16 big-endian": lambda s: s.decode().encode("utf-16-be"),
    "with spaces": lambda s: b" ".join(bytes([c]) for c in s),
    "with dashes": lambda s: b"-".join(bytes([c]) for c in s),
    "with dots": lambda s: b".".join(bytes([c]) for c in s),
    "one a line": lambda s: b"\n".join(bytes([c]) for c in s),
    "hex with dashes": lambda s: s.hex("-").encode(),
    "hex with spaces": lambda s: s.hex(" ").upper().encode(),
    "hex with colons": lambda s: s.hex(":").encode(),
    "hex as in C": lambda s: ", ".join(f"0x{c:02x}" for c in s).encode(),
    "an array of codes": lambda s: json.dumps(list(s)).encode(),
    "codes and commas": lambda s: ",".join(map(str, s)).encode(),
    "an array in lines": lambda s: json.dumps(list(s), indent=4).encode(),
}
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    **WRITINGS,
    "base64": base64.b64encode,
    "base64url": lambda s: base64.urlsafe_b64encode(s).rstrip(b"="),
    "hex": lambda s: s.hex().encode(),
    "percent": lambda s: "".join(f"%{c:02X}" for c in s).encode(),
    "unicode escapes": lambda s: "".join(f"\\u{c:04x}" for c in s).encode(),
}
# Not put around another: what they make is no text.
BINARY = ("utf-16", "utf-16 big-endian")
