"""Numbers, bytes, UUID.

| value | `_type` | `_value` |
|---|---|---|
| None, bool, finite float, int up to 2,000 bits | | itself, not tagged |
| longer int | `int` | hexadecimal: `"-0x1f..."` |
| float that is not finite | `float` | `"nan"`, `"inf"`, `"-inf"` |
| complex | `complex` | `[real, imaginary]` |
| bytes, bytearray | `bytes`, `bytearray` | base64 (RFC 4648, section 4) |
| Decimal | `Decimal` | `"1.50"` (to-scientific-string of General Decimal Arithmetic) |
| UUID | `UUID` | hexadecimal with dashes (RFC 9562, section 4) |

The payload of a nan and the `is_safe` of a UUID are not kept.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64
from decimal import Decimal
from typing import Any
from uuid import UUID

from .dispatch import DECODERS, ENCODERS, dec, enc
from .fault import Fault, expect
from .strings import decode_text

# CPython limits the digits of an int in decimal text. Each process may set the limit, but not below
# 640 digits (sys.int_info.str_digits_check_threshold); 2,000 bits are 603 digits. Hexadecimal text
# has no limit and takes linear time.
_PLAIN_BITS = 2000
_HEX = re.compile(r"-?0x[0-9a-f]+", re.ASCII)


# Bytes that are converted at once: no other thread of the process runs meanwhile.
_SLICE = 3 * 2**18


def to_base64(data: Any) -> str:
    """The base64 of bytes. A multiple of three at a time, so that only the end is padded."""
    whole = memoryview(data).cast("B") if len(data) else b""
    return "".join(
        b64encode(whole[at : at + _SLICE]).decode("ascii") for at in range(0, len(whole), _SLICE)
    )


def from_base64(body: Any) -> bytes:
    """The bytes of base64 text. Raises Fault or ValueError for any other value."""
    text = expect(body, str, "base64 data")
    step = _SLICE // 3 * 4
    if len(text) <= step:
        return a2b_base64(text, strict_mode=True)
    parts = [a2b_base64(text[at : at + step], strict_mode=True) for at in range(0, len(text), step)]
    if any(len(part) != _SLICE for part in parts[:-1]):
        raise Fault("base64 data is padded before its end")
    return b"".join(parts)


def _encode_same(value: Any, depth: int) -> Any:
    return value


def _encode_int(value: int, depth: int) -> Any:
    if value.bit_length() <= _PLAIN_BITS:
        return value
    return {"_type": "int", "_value": hex(value)}


def _decode_int(body: Any, depth: int) -> int:
    if not _HEX.fullmatch(expect(body, str, "the value of an int")):
        raise Fault("a tagged int must be lower-case hexadecimal, like -0x1f")
    return int(body, 16)


def _encode_float(value: float, depth: int) -> Any:
    if value - value == 0.0:
        return value
    return {"_type": "float", "_value": repr(value)}


def _decode_float(body: Any, depth: int) -> float:
    if body not in ("nan", "inf", "-inf"):
        raise Fault("a tagged float must be nan, inf or -inf")
    # A new object for each nan, because two nan keys of one dict must stay two keys.
    return float(body)


def _encode_complex(value: complex, depth: int) -> Any:
    return {"_type": "complex", "_value": [enc(value.real, depth), enc(value.imag, depth)]}


def _decode_complex(body: Any, depth: int) -> complex:
    if type(body) is not list or len(body) != 2:
        raise Fault("a complex must be [real, imaginary]")
    real, imaginary = (expect(dec(part, depth), float, "a complex's part") for part in body)
    return complex(real, imaginary)


def _encode_bytes(value: Any, depth: int) -> Any:
    return {"_type": type(value).__name__, "_value": to_base64(value)}


def _decode_bytes(body: Any, depth: int) -> bytes:
    return from_base64(body)


def _decode_bytearray(body: Any, depth: int) -> bytearray:
    return bytearray(from_base64(body))


def _encode_as_text(value: Any, depth: int) -> Any:
    return {"_type": type(value).__name__, "_value": str(value)}


def _decode_decimal(body: Any, depth: int) -> Decimal:
    return Decimal(expect(body, str, "the value of a Decimal"))


def _decode_uuid(body: Any, depth: int) -> UUID:
    return UUID(expect(body, str, "the value of a UUID"))


ENCODERS[type(None)] = ENCODERS[bool] = _encode_same
ENCODERS[int] = _encode_int
ENCODERS[float] = _encode_float
ENCODERS[complex] = _encode_complex
ENCODERS[bytes] = ENCODERS[bytearray] = _encode_bytes
ENCODERS[Decimal] = ENCODERS[UUID] = _encode_as_text

DECODERS["str"] = decode_text
DECODERS["int"] = _decode_int
DECODERS["float"] = _decode_float
DECODERS["complex"] = _decode_complex
DECODERS["bytes"] = _decode_bytes
DECODERS["bytearray"] = _decode_bytearray
DECODERS["Decimal"] = _decode_decimal
DECODERS["UUID"] = _decode_uuid
