# cython: language_level=3
"""Entries of a listing: what was seen of many files, as clients see them, without an object for each.

Knows: which names a client can be told, the usual layouts of `user.DOSATTRIB`, the rules by which DOS attributes follow
from a file.  Must not know: information classes, where entries were seen.  `smbd_uring.filesystem.listing` has the
Python twin, which also does what is not usual: symlinks, and times far from now.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from smbd_uring._native._statx cimport (
    STATX_BTIME,
    EntryTable,
    entry_facts,
    nanoseconds,
    statx_buffer,
    statx_timestamp,
)

cdef object new_tuple = tuple.__new__

cdef extern from "<sys/stat.h>" nogil:
    bint S_ISDIR(int mode)
    bint S_ISLNK(int mode)

cdef extern from "<endian.h>" nogil:
    uint16_t le16toh(uint16_t value)
    uint32_t le32toh(uint32_t value)
    uint64_t le64toh(uint64_t value)

cdef enum:
    HIDDEN = 0x02
    DIRECTORY = 0x10
    ARCHIVE = 0x20
    # Those a stored value decides about: READONLY, HIDDEN, SYSTEM, ARCHIVE.
    STORED = 0x27
    # Which fields of a stored value are valid.
    VALID_ATTRIBUTES = 0x01
    VALID_CREATE_TIME = 0x10
    # From the start of a value whose string is empty: the version, twice, and the fields that all versions have.
    VERSION_AT = 2
    VALID_AT = 8
    ATTRIBUTES_AT = 12

cdef int64_t EPOCH_DIFFERENCE_TICKS = 116444736000000000
cdef int64_t TICKS_A_SECOND = 10000000
# Moments between are ordinary: as a FILETIME they are positive, and nothing overflows.
cdef int64_t ORDINARY_FROM_S = -11000000000
cdef int64_t ORDINARY_TO_S = 9000000000

# [MS-FSCC] 2.1.5: characters that no client can say.
cdef bint is_forbidden[256]
memset(is_forbidden, 0, sizeof(is_forbidden))
for _character in (*range(32), *b'"*/:<>?\\|'):
    is_forbidden[_character] = True


cdef bint is_ordinary(const statx_timestamp *moment) noexcept nogil:
    return ORDINARY_FROM_S < moment.tv_sec < ORDINARY_TO_S


cdef uint64_t filetime_of(const statx_timestamp *moment) noexcept nogil:
    return <uint64_t>(moment.tv_sec * TICKS_A_SECOND + moment.tv_nsec // 100 + EPOCH_DIFFERENCE_TICKS)


cdef const statx_timestamp *created_of(const statx_buffer *status) noexcept nogil:
    """When the file was created as far as its status tells."""
    cdef const statx_timestamp *modified = &status.stx_mtime
    cdef const statx_timestamp *changed = &status.stx_ctime
    if status.stx_mask & STATX_BTIME:
        return &status.stx_btime
    if modified.tv_sec != changed.tv_sec:
        return modified if modified.tv_sec < changed.tv_sec else changed
    return modified if modified.tv_nsec <= changed.tv_nsec else changed


cdef inline uint32_t number_at(const char *value, Py_ssize_t position) noexcept nogil:
    cdef uint32_t number
    memcpy(&number, value + position, sizeof(number))
    return le32toh(number)


cdef Py_ssize_t create_time_at(const char *value, Py_ssize_t length) noexcept nogil:
    """Where a value of a usual layout has its creation time; 0 for any other value."""
    cdef uint16_t version, discriminant
    cdef Py_ssize_t position
    if length < 24 or value[0] != 0:
        return 0
    memcpy(&version, value + VERSION_AT, sizeof(version))
    memcpy(&discriminant, value + VERSION_AT + 2, sizeof(discriminant))
    if version != discriminant:
        return 0
    version = le16toh(version)
    if version == 5:
        return 16
    if version == 4 and length >= 32:
        return 24
    return 0


cdef bint decode(const char *value, Py_ssize_t length, listed_entry *entry, bint *says_attributes) noexcept nogil:
    """Take attributes and creation time from a value of a usual layout; False when it has another one."""
    cdef Py_ssize_t position = create_time_at(value, length)
    cdef uint32_t valid
    cdef uint64_t create_time
    if not position:
        return False
    valid = number_at(value, VALID_AT)
    says_attributes[0] = valid & VALID_ATTRIBUTES
    if says_attributes[0]:
        entry.attributes = number_at(value, ATTRIBUTES_AT) & STORED
    memcpy(&create_time, value + position, sizeof(create_time))
    create_time = le64toh(create_time)
    if valid & VALID_CREATE_TIME and 0 < <int64_t>create_time:
        entry.created = create_time
        entry.is_created_stored = True
    return True


cdef class ListedEntries:
    """A sequence of `ports.ListedEntry`, made when one is asked for."""

    def __cinit__(self, EntryTable table, object entry_type, object facts_type):
        self.table = table
        self.entry_type = entry_type
        self.facts_type = facts_type
        self.texts = {}
        self.entries = <listed_entry *>malloc(max(table.count, 1) * sizeof(listed_entry))
        if self.entries is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.entries)

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t position):
        cdef listed_entry *entry
        cdef statx_buffer *status
        if not 0 <= position < self.count:
            raise IndexError(position)
        entry = &self.entries[position]
        status = &self.table.facts[entry.index].status
        if entry.is_created_stored:
            created_ns = (<object>entry.created - EPOCH_DIFFERENCE_TICKS) * 100
        else:
            created_ns = nanoseconds(<statx_timestamp *>created_of(status))
        facts = new_tuple(self.facts_type, (self.table.status(entry.index), entry.attributes, created_ns))
        return new_tuple(self.entry_type, (self.name(entry), facts))

    cdef object name(self, const listed_entry *entry):
        if not entry.is_ascii:
            return self.texts[entry.index]
        return (<bytes>PyList_GET_ITEM(self.table.names, entry.index)).decode("ascii")

    cdef bint take_name(self, listed_entry *entry) except -1:
        """Whether a client can be told the name."""
        cdef bytes name = <bytes>PyList_GET_ITEM(self.table.names, entry.index)
        cdef const unsigned char *characters = <const unsigned char *>PyBytes_AS_STRING(name)
        cdef Py_ssize_t position
        entry.is_ascii = True
        for position in range(PyBytes_GET_SIZE(name)):
            if is_forbidden[characters[position]]:
                return False
            if characters[position] >= 0x80:
                entry.is_ascii = False
        if not entry.is_ascii:
            try:
                self.texts[entry.index] = name.decode("utf-8")
            except UnicodeDecodeError:
                return False
        return True

    cdef int take_facts(self, listed_entry *entry, bint uses_values, bint hides_dot_files, object decode_value) except -1:
        cdef entry_facts *facts = &self.table.facts[entry.index]
        cdef bint is_directory = S_ISDIR(facts.status.stx_mode), says_attributes = False
        cdef bytes name = <bytes>PyList_GET_ITEM(self.table.names, entry.index)
        entry.attributes = 0
        entry.is_created_stored = False
        if uses_values and (facts.value_length >= 0 or facts.is_longer):
            if facts.is_longer or not decode(facts.value, facts.value_length, entry, &says_attributes):
                value = self.table.value(entry.index)
                attributes, created_ns = (None, None) if value is None else decode_value(value)
                says_attributes = attributes is not None
                if says_attributes:
                    entry.attributes = attributes
                if created_ns is not None:
                    entry.created = created_ns // 100 + EPOCH_DIFFERENCE_TICKS
                    entry.is_created_stored = True
        if not says_attributes and not is_directory:
            entry.attributes = ARCHIVE
        if is_directory:
            entry.attributes |= DIRECTORY
        if hides_dot_files and PyBytes_AS_STRING(name)[0] == b".":
            entry.attributes |= HIDDEN
        if not entry.is_created_stored:
            entry.created = filetime_of(created_of(&facts.status))
        return 0


def list_entries(
    EntryTable table, bint uses_values, bint hides_dot_files, decode_value, entry_type, facts_type
):
    """The entries of `table` that a client may see, as `ListedEntries`; None when the Python twin has to do it.

    `uses_values`: whether the xattr's values count; `decode_value` reads those of layouts that are not usual.
    `hides_dot_files`: whether a leading dot hides a name.  `entry_type` and `facts_type` make a ListedEntry and its
    FileFacts of a tuple.
    """
    cdef ListedEntries listed = ListedEntries(table, entry_type, facts_type)
    cdef statx_buffer *status
    cdef listed_entry *entry
    cdef Py_ssize_t index
    for index in range(table.count):
        if table.facts[index].error:
            continue
        status = &table.facts[index].status
        if S_ISLNK(status.stx_mode) or not (
            is_ordinary(&status.stx_atime) and is_ordinary(&status.stx_mtime) and is_ordinary(&status.stx_ctime)
            and is_ordinary(created_of(status))
        ):
            return None
        entry = &listed.entries[listed.count]
        entry.index = index
        if listed.take_name(entry):
            listed.take_facts(entry, uses_values, hides_dot_files, decode_value)
            listed.count += 1
    return listed
