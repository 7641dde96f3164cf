"""Given segments of any size and sends that are short anywhere, the bytes leave once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smbd_uring import limits
from smbd_uring.loop.send_queue import SendQueue


@given(st.lists(st.binary(max_size=40), max_size=150), st.lists(st.integers(0, 2000), max_size=60), st.data())
def test_short_sends(segments: list[bytes], sends: list[int], data: st.DataObject) -> None:
    queue = SendQueue()
    queue.append(segments)
    out = b""
    for wish in sends:
        batch = queue.batch()
        assert len(batch) <= limits.SEND_SEGMENTS_MAX
        assert all(batch)
        count = min(wish, sum(map(len, batch)))
        out += b"".join(batch)[:count]
        queue.advance(count)
        if data.draw(st.booleans()):
            queue.append([b"late"])
            segments.append(b"late")
    assert queue.queued == len(b"".join(segments)) - len(out)
    while batch := queue.batch():
        out += b"".join(batch)
        queue.advance(sum(map(len, batch)))
    assert out == b"".join(segments)
    assert queue.queued == 0


def test_a_batch_is_bounded_and_copies_nothing() -> None:
    queue = SendQueue()
    big = bytearray(3 * limits.SEND_BATCH_BYTES)
    queue.append([b"x", big])
    batch = queue.batch()
    assert [len(view) for view in batch] == [1, limits.SEND_BATCH_BYTES - 1]
    assert batch[1].obj is big
    queue.clear()
    assert queue.queued == 0 and queue.batch() == []


def test_views_of_wider_items_are_sent_as_bytes() -> None:
    queue = SendQueue()
    queue.append([memoryview(b"12345678").cast("I")])
    assert queue.queued == 8
