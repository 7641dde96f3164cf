"""What a client may call a file, and that nothing which comes through can climb."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring import limits
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.names import FORBIDDEN, components_of, is_short_name
from smbd_uring.wire.ntstatus import NtStatus


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("", ()),
        ("a", ("a",)),
        (r"a\b\c", ("a", "b", "c")),
        ("folder\\", ("folder",)),
        ("a::$DATA", ("a",)),
        ("a::$data", ("a",)),
        (r"a\b::$DATA", ("a", "b")),
        ("...", ("...",)),
        (".hidden", (".hidden",)),
        ("ends in a dot.", ("ends in a dot.",)),
        ("🐟" * 63, ("🐟" * 63,)),
    ],
)
def test_a_good_name_becomes_its_components(name: str, components: tuple[str, ...]) -> None:
    assert components_of(name) == components


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (r"\a", NtStatus.INVALID_PARAMETER),
        ("\\", NtStatus.INVALID_PARAMETER),
        ("..", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        (r"a\..\..", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        (r"a\..\..\a\b", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        ("..\\", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        (".", NtStatus.OBJECT_NAME_INVALID),
        (r"a\.\b", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("x" * 256 + r"\b", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("a/b", NtStatus.OBJECT_NAME_INVALID),
        ("a:stream", NtStatus.OBJECT_NAME_INVALID),
        ("::$DATA", NtStatus.OBJECT_NAME_INVALID),
        ("a\\::$DATA", NtStatus.OBJECT_NAME_INVALID),
        ("x" * 256, NtStatus.OBJECT_NAME_INVALID),
        ("ä" * 128, NtStatus.OBJECT_NAME_INVALID),
        ("\\".join("a" * 257), NtStatus.OBJECT_PATH_NOT_FOUND),
        ("\\".join(["x" * 255] * 17), NtStatus.OBJECT_PATH_NOT_FOUND),
    ],
)
def test_a_bad_name_is_refused_with_its_status(name: str, status: NtStatus) -> None:
    with pytest.raises(SmbError) as refused:
        components_of(name)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("name", "components"),
    [(r"a\\b", ("a", "b")), ("a\\\\", ("a",)), (r"a\..\b", ("b",)), (r"a\..", ()), (r"a\b\..\c\..\d", ("a", "d"))],
)
def test_separators_too_many_do_not_count_and_dots_take_back(name: str, components: tuple[str, ...]) -> None:
    assert components_of(name) == components


@pytest.mark.parametrize(
    ("name", "is_short"),
    [("a", True), ("README.TXT", True), ("a.b", True), ("longer-than-8", False), ("a.long", False), ("a.", False),
     (".a", False), ("a b", False), ("a.b.c", False), ("ä", False), ("", False)],
)
def test_which_names_are_their_own_short_names(name: str, is_short: bool) -> None:
    assert is_short_name(name) is is_short


@pytest.mark.parametrize("character", sorted(FORBIDDEN))
def test_no_component_holds_a_forbidden_character(character: str) -> None:
    with pytest.raises(SmbError) as refused:
        components_of(rf"a\b{character}c")
    assert refused.value.status == NtStatus.OBJECT_NAME_INVALID


NAMES = st.text(st.sampled_from("\\/.:ab\0\x1f*💥$DATA") | st.characters(exclude_categories=("Cs",)), max_size=300)


@given(NAMES)
def test_whatever_comes_through_stays_below_the_share_and_fits(name: str) -> None:
    try:
        components = components_of(name)
    except SmbError:
        return
    assert len(components) <= limits.PATH_COMPONENTS_MAX
    assert len("/".join(components).encode()) <= limits.PATH_BYTES_MAX
    for component in components:
        assert component not in ("", ".", "..")
        assert not set(component) & set("\\/\0:")
        assert len(component.encode()) <= limits.NAME_BYTES_MAX
