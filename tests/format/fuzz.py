"""Random mutants of a sound file, each loaded against the clock: `python -m tests.format.fuzz FILE 20000`."""

from __future__ import annotations

import random
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.format.surgery import in_time
from tflite_cupy.interpreter.errors import TfliteError
from tflite_cupy.interpreter.format.model import load_model

NUMBERS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4)


def flip_bit(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_byte(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def set_word(data: bytearray, rng: random.Random) -> None:
    """An offset, length, index or size becomes a number at the edge of something."""
    struct.pack_into("<I", data, 4 * rng.randrange(len(data) // 4), rng.choice(NUMBERS))


def shift_word(data: bytearray, rng: random.Random) -> None:
    """An offset or length moves a little."""
    at = 4 * rng.randrange(len(data) // 4)
    value = struct.unpack_from("<I", data, at)[0] + rng.randrange(-16, 17)
    struct.pack_into("<I", data, at, value % 2**32)


def set_half(data: bytearray, rng: random.Random) -> None:
    """An entry of a vtable becomes another."""
    struct.pack_into("<H", data, 2 * rng.randrange(len(data) // 2), rng.choice((0, 2, 4, 6, 8, 12, 16, 20, 255, 65535)))


def copy_words(data: bytearray, rng: random.Random) -> None:
    """A piece of the file appears in another place."""
    size = 4 * rng.randrange(1, 9)
    source, target = (4 * rng.randrange(max(1, (len(data) - size) // 4)) for _ in range(2))
    data[target : target + size] = data[source : source + size]


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[max(8, rng.randrange(len(data))) :]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bit,
    set_byte,
    set_word,
    set_word,
    shift_word,
    shift_word,
    set_half,
    copy_words,
    truncate,
)


def mutant(data: bytes, rng: random.Random) -> bytes:
    """The file after one to four mutations."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        rng.choice(MUTATIONS)(made, rng)
    return bytes(made)


def run(data: bytes, count: int, seed: int = 0) -> Counter[str]:
    """Loads mutants and counts what came of them. Anything but a model or a TfliteError in time is raised."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number in range(count):
        made = mutant(data, rng)
        try:
            with in_time():
                load_model(made)
            outcomes["loaded"] += 1
        except TfliteError as error:
            outcomes[type(error).__name__] += 1
        except BaseException as error:
            error.add_note(f"mutant {number} of seed {seed}")
            raise
    return outcomes


if __name__ == "__main__":
    print(run(Path(sys.argv[1]).read_bytes(), int(sys.argv[2])))
