"""Text of files whose encoding nobody names."""

import codecs

from blade_tune.data.raw.encodings import UTF_16_MARKS

# Bytes that are letters and quotes in cp1252, and controls in latin-1
BETWEEN = bytes(range(0x80, 0xA0))


def decoded(raw: bytes, *, is_whole: bool) -> tuple[str, str | None]:
    """Return the text of a file's first bytes, and its encoding if `data prepare` must be told it.

    Args:
        raw: the bytes.
        is_whole: whether the file has no others, so that the last character is whole.
    """
    if raw[:2] in UTF_16_MARKS:
        return _with(raw, "utf-16", is_whole=is_whole, errors="replace"), None
    half = max(1, len(raw) // 2)
    for encoding, zeros in (("utf-16-le", raw[1::2]), ("utf-16-be", raw[::2])):
        if zeros.count(0) > half / 2:
            return _with(raw, encoding, is_whole=is_whole, errors="replace"), encoding
    try:
        return _with(raw, "utf-8", is_whole=is_whole).removeprefix("\ufeff"), None
    except UnicodeDecodeError:
        encoding = "cp1252" if any(byte in raw for byte in BETWEEN) else "latin-1"
    try:
        return _with(raw, encoding, is_whole=is_whole), encoding
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def _with(raw: bytes, encoding: str, *, is_whole: bool, errors: str = "strict") -> str:
    return codecs.getincrementaldecoder(encoding)(errors).decode(raw, final=is_whole)
