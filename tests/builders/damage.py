"""Files that are damaged at random: cut short, or with other bytes in a few places."""

import random


def damaged(content: bytes, seed: int) -> bytes:
    """Return the content with a damage that depends on the seed."""
    rng = random.Random(seed)
    if rng.random() < 0.2:
        return content[: rng.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        place = rng.randrange(len(changed))
        changed[place] = rng.choice([0, 255, rng.randrange(256), changed[place] ^ 1])
    return bytes(changed)
