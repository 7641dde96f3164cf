"""The journal as bytes: whatever happens to it, what is read is what was written, or it is said that it is not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from smbd_uring.engine.journal_entries import MAGIC, EntryKind, encode_entry, read_journal
from smbd_uring.limits import JOURNAL_ENTRY_BYTES_MAX

PUT, DROP = EntryKind.PUT, EntryKind.DROP
IDS = st.integers(0, 5)
ENTRIES = st.lists(st.tuples(st.sampled_from((PUT, DROP)), IDS, st.binary(max_size=40)), max_size=12)
Entry = tuple[EntryKind, int, bytes]


def encoded(entries: list[Entry]) -> list[bytes]:
    """Pieces of a file: the beginning, then one entry each."""
    return [MAGIC, *(encode_entry(kind, number, payload if kind is PUT else b"") for kind, number, payload in entries)]


def told(entries: list[Entry]) -> dict[int, bytes]:
    """What the entries come to."""
    records: dict[int, bytes] = {}
    for kind, number, payload in entries:
        if kind is PUT:
            records[number] = payload
        else:
            records.pop(number, None)
    return records


@given(ENTRIES)
def test_a_whole_journal_says_what_was_written(entries: list[Entry]) -> None:
    contents = read_journal(b"".join(encoded(entries)))
    assert contents.records == told(entries)
    assert not contents.is_torn and not contents.is_damaged


@given(ENTRIES, st.data())
def test_any_beginning_of_it_says_what_was_written_up_to_there(entries: list[Entry], data: st.DataObject) -> None:
    pieces = encoded(entries)
    whole = b"".join(pieces)
    end = data.draw(st.integers(0, len(whole)))
    contents = read_journal(whole[:end])
    count = position = 0
    for piece in pieces:
        if position + len(piece) > end:
            break
        position += len(piece)
        count += 1
    assert contents.records == told(entries[: max(count - 1, 0)])
    assert contents.is_torn == (position != end or end == 0)
    assert not contents.is_damaged
    assert contents.bytes_read == (position if count else 0)


@settings(max_examples=300)
@given(ENTRIES, st.data())
def test_any_byte_that_is_not_what_was_written_is_noticed(entries: list[Entry], data: st.DataObject) -> None:
    whole = bytearray(b"".join(encoded(entries)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    contents = read_journal(bytes(whole))
    assert contents.is_torn or contents.is_damaged
    assert contents.bytes_read <= at


@given(st.binary(max_size=200))
def test_anything_at_all_can_be_read(noise: bytes) -> None:
    read_journal(noise)
    read_journal(MAGIC + noise)


def test_an_entry_that_would_be_too_long_is_damage_and_not_waited_for() -> None:
    entry = bytearray(encode_entry(PUT, 1, b"payload"))
    entry[:4] = (JOURNAL_ENTRY_BYTES_MAX + 1).to_bytes(4, "little")
    assert read_journal(MAGIC + bytes(entry)).is_damaged


def test_a_file_of_another_kind_is_damage() -> None:
    assert read_journal(b"something else entirely").is_damaged
