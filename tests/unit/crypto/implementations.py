"""The two implementations of what every message needs, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from smbd_uring._native import _message_crypto as native
from smbd_uring.crypto.sealing import Opener, PythonOpener, PythonSealer, Sealer, SealingError
from smbd_uring.crypto.signing import Signer, make_python_signer


@dataclass(frozen=True)
class Implementation:
    """What `make_signer`, `make_sealer` and `make_opener` choose from."""

    signer: Callable[[int, bytes], Signer]
    sealer: Callable[[int, bytes, bytes], Sealer]
    opener: Callable[[int, bytes], Opener]


PYTHON = Implementation(make_python_signer, PythonSealer, PythonOpener)
NATIVE = Implementation(
    native.Signer,
    lambda cipher, key, nonce_prefix: native.Sealer(cipher, key, nonce_prefix, SealingError),
    lambda cipher, key: native.Opener(cipher, key, SealingError),
)

each_implementation = pytest.mark.parametrize(
    "implementation", [pytest.param(PYTHON, id="python"), pytest.param(NATIVE, id="native")]
)
