"""The native extensions, all optional; everything else is in pyproject.toml.

SMBD_DISABLE_NATIVE=1 builds none.  SMBD_REQUIRE_NATIVE=1 makes a failure to build one an error; without it
the package installs anyway and the server runs over epoll.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

NATIVE = "smbd_uring/_native"
LIBRARIES = {
    "_buffers": ["uring"],
    "_message_crypto": [],
    "_operation": ["uring"],
    "_core": ["uring"],
    "_crypto": ["crypto"],
    "_ring": ["uring"],
    "_statx": [],
}
"""Module name -> libraries it links with."""


def extensions() -> list[Extension]:
    """What to build; nothing when Cython is missing and nothing is required."""
    required = bool(os.environ.get("SMBD_REQUIRE_NATIVE"))
    if os.environ.get("SMBD_DISABLE_NATIVE"):
        if required:
            raise SystemExit("SMBD_DISABLE_NATIVE and SMBD_REQUIRE_NATIVE contradict each other")
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if required:
            raise
        print("no Cython: building without native parts", file=sys.stderr)
        return []
    modules = [
        Extension(
            f"smbd_uring._native.{name}",
            [f"{NATIVE}/{name}.pyx"],
            libraries=libraries,
            extra_compile_args=["-O2", "-Wall"],
            depends=[str(path) for path in Path(NATIVE).glob("*.pxd")],
        )
        for name, libraries in LIBRARIES.items()
    ]
    built: list[Extension] = cythonize(modules, compiler_directives={"language_level": "3"})
    for extension in built:
        # cythonize makes extensions of its own and forgets this attribute of those it was given.
        extension.optional = not required
    return built


setup(ext_modules=extensions())
