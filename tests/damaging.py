"""Damage to an LMDB file, each kind the same for the same seed, and what pages of it a reader would ever look at."""

from __future__ import annotations

import struct
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["KINDS", "Images", "Leaf", "damaged", "live_pages", "overwrite", "page_size", "records"]

_META = struct.Struct("<16x4s20xI")
_LAST = struct.Struct("<QQ")
_DB = struct.Struct("<IHHQQQQQ")
_PAGE = struct.Struct("<QHHHH")
_NODE = struct.Struct("<HHHH")
_META_DBS, _META_LAST = 40, 136
_BRANCH, _LEAF, _SUBDATA, _BIGDATA = 0x01, 0x02, 0x02, 0x01
_NO_PAGE = (1 << 64) - 1
USED_META = 152
"""How many bytes of a meta page LMDB reads: what lies behind them is nobody's."""


class Images(NamedTuple):
    """A database's bytes now, and as they were some transactions ago."""

    now: bytes
    before: bytes


class Leaf(NamedTuple):
    """Where a record's value lies in the file, and the sub-database that holds it."""

    table: str
    offset: int
    size: int


def page_size(image: bytes) -> int:
    """Return the size of a page as the first meta has it."""
    return int(_META.unpack_from(image)[1])


def overwrite(path: Path, image: bytes) -> None:
    """Put bytes in the place of a file's own, in the same inode."""
    with path.open("r+b") as file:
        file.write(image)
        file.truncate()


# -- which pages are in use: LMDB 0.9's tree, walked without LMDB. Source: mdb.c, MDB_meta, MDB_page, MDB_node, MDB_db


def _newest_meta(image: bytes) -> int:
    size = page_size(image)
    return max((0, size), key=lambda at: int(_LAST.unpack_from(image, at + _META_LAST)[1]))


def _nodes(image: bytes, page: int) -> Iterator[tuple[int, int, int, int, bytes, int]]:
    """Yield (flags of the page, low, high, flags of the node, key, offset of the data) of each node of a page."""
    base = page * page_size(image)
    _, _, flags, lower, _ = _PAGE.unpack_from(image, base)
    for index in range((lower - 16) // 2):
        at = base + int.from_bytes(image[base + 16 + 2 * index : base + 18 + 2 * index], "little")
        low, high, node_flags, key_size = _NODE.unpack_from(image, at)
        yield flags, low, high, node_flags, image[at + 8 : at + 8 + key_size], at + 8 + key_size


def _walk(image: bytes, root: int, table: str, pages: dict[int, str], found: list[Leaf]) -> None:
    if root == _NO_PAGE:
        return
    pages[root] = table
    size = page_size(image)
    for flags, low, high, node_flags, key, at in _nodes(image, root):
        if flags & _BRANCH:
            _walk(image, low | high << 16 | node_flags << 32, table, pages, found)
        elif node_flags & _SUBDATA:
            _walk(image, _DB.unpack_from(image, at)[-1], key.decode(), pages, found)
        elif node_flags & _BIGDATA:
            first, length = int.from_bytes(image[at : at + 8], "little"), low | high << 16
            pages.update(dict.fromkeys(range(first, first + (length + 16 + size - 1) // size), table))
            found.append(Leaf(table, first * size + 16, length))
        else:
            found.append(Leaf(table, at, low | high << 16))


def _walked(image: bytes) -> tuple[dict[int, str], list[Leaf]]:
    pages: dict[int, str] = {}
    free: list[Leaf] = []
    found: list[Leaf] = []
    dbs = _newest_meta(image) + _META_DBS
    _walk(image, _DB.unpack_from(image, dbs)[-1], "(free)", pages, free)
    _walk(image, _DB.unpack_from(image, dbs + _DB.size)[-1], "(main)", pages, found)
    return pages, found


def live_pages(image: bytes) -> Mapping[int, str]:
    """Return the sub-database of each page that the newest transaction refers to, the two metas left out."""
    return _walked(image)[0]


def records(image: bytes) -> list[Leaf]:
    """Return every record with a value that the newest transaction holds, in the order of the tree."""
    return [leaf for leaf in _walked(image)[1] if leaf.size]


# -- the kinds


def _page(image: bytes, number: int) -> slice:
    size = page_size(image)
    return slice(number * size, (number + 1) * size)


def _count(image: bytes) -> int:
    return len(image) // page_size(image)


def _any_page(image: bytes, rng: Random) -> int:
    """Return a page behind the metas: three times of four one that is in use."""
    live = sorted(live_pages(image))
    return rng.choice(live) if rng.random() < 0.75 else rng.randrange(2, _count(image))


def _replaced(image: bytes, at: slice, new: bytes) -> bytes:
    return image[: at.start] + new + image[at.stop :]


def _flipped(image: bytes, offset: int, rng: Random) -> bytes:
    return _replaced(image, slice(offset, offset + 1), bytes([image[offset] ^ (1 << rng.randrange(8))]))


def _bit_flips(images: Images, rng: Random) -> bytes:
    image = images.now
    for _ in range(rng.choice((1, 4, 16))):
        at = _page(images.now, _any_page(images.now, rng))
        image = _flipped(image, rng.randrange(at.start, at.stop), rng)
    return image


def _page_zeroed(images: Images, rng: Random) -> bytes:
    at = _page(images.now, _any_page(images.now, rng))
    return _replaced(images.now, at, bytes(at.stop - at.start))


def _page_of_noise(images: Images, rng: Random) -> bytes:
    at = _page(images.now, _any_page(images.now, rng))
    return _replaced(images.now, at, rng.randbytes(at.stop - at.start))


def _pages_swapped(images: Images, rng: Random) -> bytes:
    image = images.now
    one = _any_page(image, rng)
    other = rng.choice([number for number in range(2, _count(image)) if number != one])
    swapped = _replaced(image, _page(image, one), image[_page(image, other)])
    return _replaced(swapped, _page(image, other), image[_page(image, one)])


def _cut_between_pages(images: Images, rng: Random) -> bytes:
    return images.now[: rng.randrange(2, _count(images.now)) * page_size(images.now)]


def _cut_within_a_page(images: Images, rng: Random) -> bytes:
    size = page_size(images.now)
    return images.now[: rng.randrange(2, _count(images.now)) * size + rng.randrange(1, size)]


def _cut_to_nothing(images: Images, rng: Random) -> bytes:
    del images, rng
    return b""


def _cut_within_the_metas(images: Images, rng: Random) -> bytes:
    size = page_size(images.now)
    return images.now[
        : rng.choice((rng.randrange(1, 152), rng.randrange(152, size), size, rng.randrange(size, 2 * size)))
    ]


def _flip_a_meta(image: bytes, at: int, rng: Random) -> bytes:
    for offset in rng.sample(range(USED_META), rng.choice((1, 3))):
        image = _flipped(image, at + offset, rng)
    return image


def _one_meta(images: Images, rng: Random) -> bytes:
    return _flip_a_meta(images.now, rng.choice((0, page_size(images.now))), rng)


def _both_metas(images: Images, rng: Random) -> bytes:
    return _flip_a_meta(_flip_a_meta(images.now, 0, rng), page_size(images.now), rng)


def _value(images: Images, rng: Random) -> bytes:
    tables = {leaf.table for leaf in records(images.now)}
    table = rng.choice(sorted(tables))
    leaf = rng.choice([leaf for leaf in records(images.now) if leaf.table == table])
    return _flipped(images.now, leaf.offset + rng.randrange(leaf.size), rng)


def _differing(images: Images) -> list[int]:
    common = range(2, min(_count(images.now), _count(images.before)))
    return [n for n in common if images.now[_page(images.now, n)] != images.before[_page(images.now, n)]]


def _stale(images: Images, numbers: list[int]) -> bytes:
    image = images.now
    for number in numbers:
        image = _replaced(image, _page(image, number), images.before[_page(image, number)])
    return image


def _older_pages(images: Images, rng: Random) -> bytes:
    differing = _differing(images)
    return _stale(images, rng.sample(differing, rng.randrange(1, len(differing) + 1)))


def _older_leaf(images: Images, rng: Random) -> bytes:
    """Put one page's older content back, of the same sub-database if there is such a page: it is whole in itself."""
    now, before = live_pages(images.now), live_pages(images.before)
    differing = _differing(images)
    same = [n for n in differing if n in now and now[n] == before.get(n) and now[n] not in {"(free)", "(main)"}]
    return _stale(images, [rng.choice(same or differing)])


def _appended(images: Images, rng: Random) -> bytes:
    return images.now + rng.randbytes(
        rng.choice((1, page_size(images.now), rng.randrange(1, 5 * page_size(images.now))))
    )


KINDS: Mapping[str, Callable[[Images, Random], bytes]] = {
    "bit-flips": _bit_flips,
    "page-zeroed": _page_zeroed,
    "page-of-noise": _page_of_noise,
    "pages-swapped": _pages_swapped,
    "cut-between-pages": _cut_between_pages,
    "cut-within-a-page": _cut_within_a_page,
    "cut-to-nothing": _cut_to_nothing,
    "cut-within-the-metas": _cut_within_the_metas,
    "one-meta": _one_meta,
    "both-metas": _both_metas,
    "value": _value,
    "older-pages": _older_pages,
    "older-leaf": _older_leaf,
    "appended": _appended,
}


def damaged(kind: str, images: Images, seed: int) -> bytes:
    """Return a database's bytes with one kind of damage in them."""
    return KINDS[kind](images, Random(f"{kind} {seed}"))
