"""What slim.py needs of the format of a Linux library (ELF, 64 bits, little-endian; man 5 elf)."""

import struct
from collections.abc import Iterator

ELF = b"\x7fELF\2\1"  # 64 bits, little-endian
SECTION = struct.Struct("<IIQQQQIIQQ")  # name, type, flags, address, offset, size, link, info, alignment, entry size
SEGMENT = struct.Struct("<IIQQQQQQ")  # type, flags, offset, address, physical address, size here, in memory, alignment
LOADED, DYNAMIC = 1, 2  # types of segments
NEEDED, STRINGS = 1, 5  # tags in the dynamic segment
SYMBOLS, NO_BITS = 2, 8  # types of sections
ALLOCATED = 2  # the flag of a section that is mapped
TORN = (struct.error, IndexError, OverflowError, ValueError)  # what a file raises that is no whole library


def without_symbols(data: bytes) -> bytes | None:
    """A library less what only debuggers read, its symbol table and .debug sections; None where it has none.

    What the loader maps stays as it is, byte by byte. The names that other libraries link to are in another table.
    """
    if data[:6] != ELF:
        return None
    programs, at = struct.unpack_from("<QQ", data, 32)
    count, names = struct.unpack_from("<HH", data, 60)
    parts = segments(data)
    sections = [list(SECTION.unpack_from(data, at + number * SECTION.size)) for number in range(count if at else 0)]
    gone = {number for number, part in enumerate(sections) if data.startswith(b".debug", sections[names][4] + part[0])}
    gone |= {number for own, part in enumerate(sections) if part[1] == SYMBOLS for number in (own, part[6])}
    mapped = [(0, 64), (programs, programs + len(parts) * SEGMENT.size)]
    mapped += [(offset, offset + size) for _, _, offset, _, _, size, _, _ in parts]
    mapped += [(part[4], part[4] + part[5]) for part in sections if part[2] & ALLOCATED and part[1] != NO_BITS]
    if names in gone or any(sections[number][2] & ALLOCATED for number in gone):
        return None
    low, last, shift = 0, max(stop for _, stop in mapped), 0
    for high, stop in sorted([*mapped, (len(data), len(data))]):  # the first gap that holds some of it
        if any(low <= sections[number][4] < high for number in gone):
            break
        low = max(low, stop)
    else:
        return None
    if low < last:  # patchelf puts parts behind the symbols: they move up, by whole pages
        page = max(part[7] for part in parts if part[0] == LOADED and part[2] >= high)
        shift = (high - low) // page * page
        new = bytearray(data[:low] + bytes(high - low - shift) + data[high:last])
    else:
        new = bytearray(data[:low])
    for number, part in enumerate(sections):
        if number in gone:
            part[1:] = [0] * 9  # the entry stays, as one of no type: sections are known by their number
        elif part[2] & ALLOCATED:
            part[4] -= shift if part[4] >= high else 0
        elif part[1]:
            new += bytes(-len(new) % max(part[8], 1))
            start, part[4] = part[4], len(new)
            new += data[start : start + part[5]]
    programs -= shift if programs >= high else 0
    new += bytes(-len(new) % 8)
    struct.pack_into("<QQ", new, 32, programs, len(new))
    for number, (kind, flags, offset, *rest) in enumerate(parts):
        moved = offset - (shift if offset >= high else 0)
        SEGMENT.pack_into(new, programs + number * SEGMENT.size, kind, flags, moved, *rest)
    new += b"".join(SECTION.pack(*part) for part in sections)
    return bytes(new) if len(new) < len(data) else None


def segments(data: bytes) -> list[tuple[int, ...]]:
    """The program headers of a library."""
    at, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    return [SEGMENT.unpack_from(data, at + number * SEGMENT.size) for number in range(count)]


def needed(data: bytes) -> Iterator[str]:
    """The names of the libraries that the loader loads with this one."""
    if data[:6] != ELF:
        return
    parts = segments(data)
    dynamic = next((data[part[2] : part[2] + part[5]] for part in parts if part[0] == DYNAMIC), b"")
    entries = list(struct.iter_unpack("<qQ", dynamic))
    address = dict(entries).get(STRINGS, 0)
    for kind, _, offset, start, _, size, _, _ in parts:
        if kind == LOADED and start <= address < start + size:
            table = offset + address - start
            yield from (
                data[table + at : data.index(b"\0", table + at)].decode() for tag, at in entries if tag == NEEDED
            )
