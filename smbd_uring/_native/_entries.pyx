# cython: language_level=3
"""Entries of a directory listing, laid out one after the other in one step.

Knows: what all information classes of [MS-FSCC] 2.4 for listings but FileNamesInformation have in common, and the
tuples of `ports.protocols` and `ports.effects` by position.  Must not know: which class it is, where entries come
from.  `smbd_uring.wire.fscc.directory` has the Python twin.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.tuple cimport PyTuple_GetItem
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    uint32_t PyUnicode_READ(int kind, void *data, Py_ssize_t index)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef extern from "<endian.h>" nogil:
    uint16_t htole16(uint16_t value)
    uint32_t htole32(uint32_t value)
    uint64_t htole64(uint64_t value)

cdef packed struct smbd_entry:
    # What every class begins with; all of it little-endian.
    uint32_t next_entry_offset
    uint32_t file_index
    uint64_t creation_time
    uint64_t last_access_time
    uint64_t last_write_time
    uint64_t change_time
    uint64_t end_of_file
    uint64_t allocation_size
    uint32_t file_attributes
    uint32_t file_name_length

cdef enum:
    ALIGNMENT = 8
    S_IFMT = 0o170000
    S_IFDIR = 0o040000
    FILE_ATTRIBUTE_NORMAL = 0x80
    # Positions in FileStatus, FileFacts and ListedEntry.
    INODE = 1
    MODE = 2
    SIZE = 6
    ALLOCATED = 7
    ACCESSED = 8
    MODIFIED = 9
    CHANGED = 10
    STATUS = 0
    ATTRIBUTES = 1
    CREATED = 2
    NAME = 0
    FACTS = 1

cdef int64_t EPOCH_DIFFERENCE_TICKS = 116444736000000000
cdef object FILETIME_MAX = (1 << 63) - 1


cdef inline object item(object whole, Py_ssize_t index):
    """One item of a tuple, named ones included; the tuple keeps its own reference."""
    return <object>PyTuple_GetItem(whole, index)


cdef uint64_t filetime(object nanoseconds) except? 0xFFFFFFFFFFFFFFFF:
    """What `wire.names.filetime_from_ns` gives."""
    cdef int overflow = 0
    cdef int64_t value = PyLong_AsLongLongAndOverflow(nanoseconds, &overflow), ticks
    if overflow:
        return min(max(nanoseconds // 100 + EPOCH_DIFFERENCE_TICKS, 0), FILETIME_MAX)
    ticks = value // 100 + EPOCH_DIFFERENCE_TICKS
    return ticks if ticks >= 0 else 0


cdef Py_ssize_t utf16_length(int kind, void *data, Py_ssize_t length) except -1:
    """Bytes of a text in UTF-16.  ValueError for a lone surrogate."""
    cdef Py_ssize_t position, units = length
    cdef uint32_t character
    if kind == 1:
        return 2 * units
    for position in range(length):
        character = PyUnicode_READ(kind, data, position)
        if character > 0xFFFF:
            units += 1
        elif 0xD800 <= character <= 0xDFFF:
            raise ValueError("a name with a lone surrogate")
    return 2 * units


cdef void write_utf16(int kind, void *data, Py_ssize_t length, uint16_t *out) noexcept:
    cdef Py_ssize_t position
    cdef uint32_t character
    for position in range(length):
        character = PyUnicode_READ(kind, data, position)
        if character > 0xFFFF:
            character -= 0x10000
            out[0] = htole16(<uint16_t>(0xD800 | (character >> 10)))
            out[1] = htole16(<uint16_t>(0xDC00 | (character & 0x3FF)))
            out += 2
        else:
            out[0] = htole16(<uint16_t>character)
            out += 1


def append_entries(
    bytearray buffer, Py_ssize_t size_max, Py_ssize_t fixed, Py_ssize_t first_id, Py_ssize_t second_id, list entries,
    Py_ssize_t count_max
):
    """Add entries to `buffer`, at most `count_max` and while they fit into `size_max` bytes.

    `fixed` is the bytes of an entry before its name; `first_id` and `second_id` are where its file id is, 0 for
    nowhere.  Every entry is padded and points behind its padding, the last one too.  Result: how many were added,
    where the last one begins and where it ends without padding (0 and 0 for none).  OverflowError and ValueError for
    what no entry can hold; the buffer is then not to be used.
    """
    cdef Py_ssize_t start = PyByteArray_GET_SIZE(buffer), last = 0, end = 0, given = 0
    cdef Py_ssize_t length, padded, name_bytes, characters
    cdef int kind
    cdef void *text
    cdef char *place
    cdef smbd_entry *entry
    cdef uint64_t file_id
    cdef object listed, name, facts, status
    assert fixed >= <Py_ssize_t>sizeof(smbd_entry) and start <= size_max and start % ALIGNMENT == 0
    assert 0 <= first_id <= fixed - 8 and 0 <= second_id <= fixed - 8
    # Room for the padding behind the last entry too.
    PyByteArray_Resize(buffer, size_max + ALIGNMENT)
    for listed in entries:
        if given == count_max:
            break
        name = item(listed, NAME)
        facts = item(listed, FACTS)
        status = item(facts, STATUS)
        if not isinstance(name, str):
            raise TypeError("a name that is no text")
        kind, text, characters = PyUnicode_KIND(name), PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name)
        name_bytes = utf16_length(kind, text, characters)
        length = fixed + name_bytes
        if length > size_max - start:
            break
        padded = (length + ALIGNMENT - 1) & ~<Py_ssize_t>(ALIGNMENT - 1)
        place = PyByteArray_AS_STRING(buffer) + start
        memset(place, 0, padded)
        entry = <smbd_entry *>place
        entry.next_entry_offset = htole32(<uint32_t>padded)
        entry.creation_time = htole64(filetime(item(facts, CREATED)))
        entry.last_access_time = htole64(filetime(item(status, ACCESSED)))
        entry.last_write_time = htole64(filetime(item(status, MODIFIED)))
        entry.change_time = htole64(filetime(item(status, CHANGED)))
        if <uint32_t>item(status, MODE) & S_IFMT != S_IFDIR:
            entry.end_of_file = htole64(<uint64_t>item(status, SIZE))
            entry.allocation_size = htole64(<uint64_t>item(status, ALLOCATED))
        entry.file_attributes = htole32(<uint32_t>(item(facts, ATTRIBUTES) or FILE_ATTRIBUTE_NORMAL))
        entry.file_name_length = htole32(<uint32_t>name_bytes)
        file_id = htole64(<uint64_t>item(status, INODE))
        if first_id:
            (<uint64_t *>(place + first_id))[0] = file_id
        if second_id:
            (<uint64_t *>(place + second_id))[0] = file_id
        write_utf16(kind, text, characters, <uint16_t *>(place + fixed))
        last, end = start, start + length
        start += padded
        given += 1
    PyByteArray_Resize(buffer, start)
    return given, last, end
