# cython: language_level=3
"""Entries of a directory listing, laid out one after the other in one step.

Knows: what all information classes of [MS-FSCC] 2.4 for listings but FileNamesInformation have in common, and the
tuples of `ports.protocols` and `ports.effects` by position.  Must not know: which class it is, where entries come
from.  `smbd_uring.wire.fscc.directory` has the Python twin.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.tuple cimport PyTuple_GetItem
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from smbd_uring._native._listed cimport ListedEntries, filetime_of, listed_entry
from smbd_uring._native._statx cimport statx_buffer

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


cdef class Layout:
    """Where in `buffer` the next entry goes, and where the last one is."""

    # The buffer may be given up to `size_max` bytes of entries, each with `fixed` bytes before its name and its file
    # id at `first_id` and `second_id` (0: nowhere).
    cdef bytearray buffer
    cdef Py_ssize_t size_max, fixed, first_id, second_id
    # Where the next entry begins; where the last one begins and ends without its padding; how many there are.
    cdef Py_ssize_t start, last, end, given

    cdef smbd_entry *begin(self, Py_ssize_t name_bytes) noexcept:
        """A new entry, all of it 0 but its place and its name's length; NULL when it does not fit."""
        cdef Py_ssize_t length = self.fixed + name_bytes, padded
        cdef smbd_entry *entry
        if length > self.size_max - self.start:
            return NULL
        padded = (length + ALIGNMENT - 1) & ~<Py_ssize_t>(ALIGNMENT - 1)
        entry = <smbd_entry *>(PyByteArray_AS_STRING(self.buffer) + self.start)
        memset(entry, 0, padded)
        entry.next_entry_offset = htole32(<uint32_t>padded)
        entry.file_name_length = htole32(<uint32_t>name_bytes)
        self.last, self.end = self.start, self.start + length
        self.start += padded
        self.given += 1
        return entry

    cdef void put_id(self, smbd_entry *entry, uint64_t file_id) noexcept:
        if self.first_id:
            (<uint64_t *>(<char *>entry + self.first_id))[0] = htole64(file_id)
        if self.second_id:
            (<uint64_t *>(<char *>entry + self.second_id))[0] = htole64(file_id)

    cdef uint16_t *name_of(self, smbd_entry *entry) noexcept:
        return <uint16_t *>(<char *>entry + self.fixed)


cdef bint add_object(Layout layout, object listed) except -1:
    """Add a ListedEntry; False when it does not fit."""
    cdef object name = item(listed, NAME), facts = item(listed, FACTS), status = item(facts, STATUS)
    cdef Py_ssize_t characters
    cdef int kind
    cdef void *text
    cdef smbd_entry *entry
    if not isinstance(name, str):
        raise TypeError("a name that is no text")
    kind, text, characters = PyUnicode_KIND(name), PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name)
    entry = layout.begin(utf16_length(kind, text, characters))
    if entry is NULL:
        return False
    entry.creation_time = htole64(filetime(item(facts, CREATED)))
    entry.last_access_time = htole64(filetime(item(status, ACCESSED)))
    entry.last_write_time = htole64(filetime(item(status, MODIFIED)))
    entry.change_time = entry.last_write_time
    if <uint32_t>item(status, MODE) & S_IFMT != S_IFDIR:
        entry.end_of_file = htole64(<uint64_t>item(status, SIZE))
        entry.allocation_size = htole64(<uint64_t>item(status, ALLOCATED))
    entry.file_attributes = htole32(<uint32_t>(item(facts, ATTRIBUTES) or FILE_ATTRIBUTE_NORMAL))
    layout.put_id(entry, <uint64_t>item(status, INODE))
    write_utf16(kind, text, characters, layout.name_of(entry))
    return True


cdef bint add_seen(Layout layout, ListedEntries entries, const listed_entry *listed) except -1:
    """Add one of `entries`; False when it does not fit."""
    cdef const statx_buffer *status = &entries.table.facts[listed.index].status
    cdef Py_ssize_t characters
    cdef int kind = 1
    cdef void *text
    cdef smbd_entry *entry
    cdef object name
    if listed.is_ascii:
        name = <object>PyList_GET_ITEM(entries.table.names, listed.index)
        text, characters = PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
    else:
        name = entries.name(listed)
        kind, text, characters = PyUnicode_KIND(name), PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name)
    entry = layout.begin(utf16_length(kind, text, characters))
    if entry is NULL:
        return False
    entry.creation_time = htole64(listed.created)
    entry.last_access_time = htole64(filetime_of(&status.stx_atime))
    entry.last_write_time = htole64(filetime_of(&status.stx_mtime))
    entry.change_time = entry.last_write_time
    if status.stx_mode & S_IFMT != S_IFDIR:
        entry.end_of_file = htole64(status.stx_size)
        entry.allocation_size = htole64(status.stx_blocks * 512)
    entry.file_attributes = htole32(listed.attributes or FILE_ATTRIBUTE_NORMAL)
    layout.put_id(entry, status.stx_ino)
    write_utf16(kind, text, characters, layout.name_of(entry))
    return True


def append_entries(
    bytearray buffer, Py_ssize_t size_max, Py_ssize_t fixed, Py_ssize_t first_id, Py_ssize_t second_id, entries,
    Py_ssize_t first, Py_ssize_t count_max
):
    """Add entries to `buffer` from the one at `first` on, at most `count_max` and while they fit into `size_max` bytes.

    `entries` is a list of ListedEntry, or `ListedEntries`.  `fixed` is the bytes of an entry before its name;
    `first_id` and `second_id` are where its file id is, 0 for nowhere.  Every entry is padded and points behind its
    padding, the last one too.  Result: how many were added, where the last one begins and where it ends without
    padding (0 and 0 for none).  OverflowError and ValueError for what no entry can hold; the buffer is then not to be
    used.
    """
    cdef Layout layout = Layout()
    cdef Py_ssize_t position, start = PyByteArray_GET_SIZE(buffer)
    cdef Py_ssize_t end = min(<Py_ssize_t>len(entries), first + count_max)
    cdef ListedEntries seen = entries if isinstance(entries, ListedEntries) else None
    assert fixed >= <Py_ssize_t>sizeof(smbd_entry) and start % ALIGNMENT == 0
    # The padding of the entry before may already pass `size_max`; nothing fits behind it then.
    assert start < size_max + ALIGNMENT
    assert 0 <= first_id <= fixed - 8 and 0 <= second_id <= fixed - 8 and first >= 0
    # Room for the padding behind the last entry too.
    PyByteArray_Resize(buffer, size_max + ALIGNMENT)
    layout.buffer, layout.size_max, layout.fixed, layout.start = buffer, size_max, fixed, start
    layout.first_id, layout.second_id = first_id, second_id
    for position in range(first, end):
        if not (
            add_object(layout, entries[position]) if seen is None else add_seen(layout, seen, &seen.entries[position])
        ):
            break
    PyByteArray_Resize(buffer, layout.start)
    return layout.given, layout.last, layout.end
