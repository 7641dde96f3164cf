"""Stacks become a flame graph: what was seen more often is wider, and callers are below."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

from smbd_uring.perf.flame import WIDTH, draw, tree, without_trunk
from smbd_uring.perf.profile import hottest, stacks

SVG = "{http://www.w3.org/2000/svg}"
PRINTED = """\
python
\t    7f1f 0x_native_read+0x1f (/srv/smbd_uring/_native/_ring.so)
\t    55aa PyEval (/usr/bin/python3)

python
\tffffffff81 tcp_sendmsg+0x2 ([kernel.kallsyms])
\t    7f1f operator()<int (*)(int)>+0x1 (/usr/lib/libx.so)
\t    55aa PyEval (/usr/bin/python3)
"""


def test_stacks_are_read_from_what_perf_prints() -> None:
    assert list(stacks(PRINTED.splitlines())) == [
        ("PyEval", "0x_native_read"), ("PyEval", "operator()<int (*)(int)>", "tcp_sendmsg_[k]"),
    ]  # fmt: skip


def frames(picture: str) -> dict[str, tuple[float, float]]:
    """Width and top of each frame, by what the mouse shows of it."""
    found = {}
    for group in ElementTree.fromstring(picture).iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None and rect is not None and title.text is not None
        found[title.text] = (float(rect.get("width", "")), float(rect.get("y", "")))
    return found


def test_widths_are_shares_and_callees_stand_on_callers() -> None:
    drawn = frames(draw(tree([(("main", "read<T>"), 3), (("main", "write"), 1)]), "a & b"))
    assert drawn["main: 100.0%"][0] == WIDTH
    assert drawn["read<T>: 75.0%"][0] == WIDTH * 3 / 4 and drawn["write: 25.0%"][0] == WIDTH / 4
    assert drawn["all: 100.0%"][1] > drawn["main: 100.0%"][1] > drawn["write: 25.0%"][1]


def test_what_every_stack_begins_with_is_left_out() -> None:
    root = without_trunk(tree([(("start", "main", "read"), 3), (("start", "main", "write"), 1)]))
    assert (root.name, root.samples, set(root.callees)) == ("main", 4, {"read", "write"})


def test_a_function_that_was_itself_running_is_where_the_trunk_ends() -> None:
    assert without_trunk(tree([(("main",), 1), (("main", "read"), 3)])).name == "main"


def test_the_hottest_are_those_that_ran_themselves() -> None:
    rows = hottest(Counter({("main", "read"): 3, ("main", "write"): 1, ("other", "read"): 2}))
    assert rows == [["read", "83.3%"], ["write", "16.7%"]]
