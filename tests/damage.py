"""Damage that disks, copies and hostile hands do to files, drawn at random."""

import random
from collections.abc import Callable, Iterator
from functools import partial

Damage = Callable[[bytes], bytes]


def damages(count: int, seed: int) -> Iterator[tuple[str, Damage]]:
    """So many: one bit or some flipped, cut, emptied, bytes swapped, zeros, bytes more, bytes less in the middle."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    kinds = (flipped, flipped, flipped, cut, swapped, zeroed, longer, shorter)
    for number in range(count):
        kind = dice.choice(kinds)
        yield f"{kind.__name__} {number}", partial(kind, dice=random.Random(dice.random()))  # noqa: S311


def flipped(content: bytes, dice: random.Random) -> bytes:
    """One to three bits."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 3))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(content: bytes, dice: random.Random) -> bytes:
    """Down to nothing, perhaps."""
    return content[: dice.choice((0, dice.randrange(len(content)), len(content) - 1))]


def swapped(content: bytes, dice: random.Random) -> bytes:
    """Two stretches of the same length in each other's place."""
    length = dice.randint(1, max(1, len(content) // 4))
    first, second = sorted(dice.randrange(len(content) - length + 1) for _ in range(2))
    if second - first < length:
        return content[::-1]
    return (
        content[:first]
        + content[second : second + length]
        + content[first + length : second]
        + content[first : first + length]
        + content[second + length :]
    )


def zeroed(content: bytes, dice: random.Random) -> bytes:
    """A tail of zeros, as after a power cut."""
    start = dice.randrange(len(content))
    return content[:start] + bytes(len(content) - start)


def longer(content: bytes, dice: random.Random) -> bytes:
    """Some bytes put in somewhere."""
    place = dice.randrange(len(content) + 1)
    return content[:place] + dice.randbytes(dice.randint(1, 9)) + content[place:]


def shorter(content: bytes, dice: random.Random) -> bytes:
    """Some bytes taken out somewhere."""
    place = dice.randrange(len(content))
    return content[:place] + content[place + dice.randint(1, 9) :]
