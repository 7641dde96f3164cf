"""The NT hash: MD4's own vectors, and hashes that Windows is known to make."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from Cryptodome.Hash import MD4
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.netlink import nt_hash as module
from smbd_uring.netlink.nt_hash import md4, md4_in_python, nt_hash

RFC1320_VECTORS = [
    ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
    ("a", "bde52cb31de33e46245e05fbdbd6fb24"),
    ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
    ("message digest", "d9130a8164549fe818874806e1c7014b"),
    ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "043f8582f241db351ce627e153e7f0e4"),
    ("1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
]
"""[RFC1320] A.5."""


@pytest.mark.parametrize(("text", "digest"), RFC1320_VECTORS)
def test_md4_is_that_of_the_rfc(text: str, digest: str) -> None:
    assert md4(text.encode()).hex() == digest
    assert md4_in_python(text.encode()).hex() == digest


@given(st.binary(max_size=300))
def test_our_md4_agrees_with_another(data: bytes) -> None:
    assert md4_in_python(data) == MD4.new(data).digest()


def test_where_openssl_has_no_md4_ours_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("unsupported hash type md4")

    monkeypatch.setattr(hashlib, "new", refuse)
    assert module.md4(b"abc").hex() == "a448017aaf21d8525fc10ae87aa6729d"


@pytest.mark.parametrize(
    ("password", "digest"),
    [
        ("Password", "a4f49c406510bdcab6824ee7c30fd852"),  # [MS-NLMP] 4.2.2.1.2
        ("SecREt01", "cd06ca7c7e10c99b1d33b7485a2ed808"),  # davenport.sourceforge.net/ntlm.html
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
    ],
)
def test_known_passwords_have_their_known_hashes(password: str, digest: str) -> None:
    assert nt_hash(password).hex() == digest


def test_characters_beyond_16_bits_count_as_two() -> None:
    assert nt_hash("🔑") == MD4.new(b"\x3d\xd8\x11\xdd").digest()
