# Entries of a listing as a client shall see them, over what was seen of their files.

from libc.stdint cimport uint32_t, uint64_t

from smbd_uring._native._statx cimport EntryTable, statx_timestamp

cdef struct listed_entry:
    # Position in the table.
    Py_ssize_t index
    # When it was created, as a FILETIME, and whether the file's stored value says so.
    uint64_t created
    bint is_created_stored
    uint32_t attributes
    # Whether the name on disk is ASCII; if not, its text is among `texts`.
    bint is_ascii

cdef class ListedEntries:
    cdef EntryTable table
    # Those that a client may see, in the table's order; owned: allocated with the object and freed with it.
    cdef listed_entry *entries
    cdef Py_ssize_t count
    # By position in the table: names that are not ASCII, as str.
    cdef dict texts
    # Makes a ListedEntry and its FileFacts of their fields.
    cdef object entry_type, facts_type
    cdef object name(self, const listed_entry *entry)
    cdef bint take_name(self, listed_entry *entry) except -1
    cdef int take_facts(
        self, listed_entry *entry, bint uses_values, bint hides_dot_files, object decode_value
    ) except -1

# A moment as a FILETIME; only of one that `is_ordinary`.
cdef uint64_t filetime_of(const statx_timestamp *moment) noexcept nogil
