"""Members come in the order in which they were added."""

from __future__ import annotations

from smbd_uring.engine.ordered_set import OrderedSet


def test_members_come_in_the_order_in_which_they_were_added() -> None:
    members: OrderedSet[str] = OrderedSet()
    for member in ("c", "a", "b", "a"):
        members.add(member)
    members.discard("c")
    members.discard("never there")
    members.add("c")
    assert list(members) == ["a", "b", "c"]
    assert "a" in members and len(members) == 3
