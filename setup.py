"""The native extensions, all optional; everything else is in pyproject.toml.

SMBD_DISABLE_NATIVE=1 builds none.  SMBD_REQUIRE_NATIVE=1 makes a failure to build one an error; without it
the package installs anyway and the server runs over epoll.  SMBD_SANITIZE=address,undefined (what gcc's
-fsanitize takes) builds for `tools/test-sanitized.sh`.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

LIBRARIES = {
    "_native/_buffers": ["uring"],
    "_native/_message_crypto": [],
    "_native/_operation": ["uring"],
    "_native/_core": ["uring"],
    "_native/_crypto": ["crypto"],
    "_native/_dirents": [],
    "_native/_entries": [],
    "_native/_glance": [],
    "_native/_identity": [],
    "_native/_listed": [],
    "_native/_paths": [],
    "_native/_ring": ["uring"],
    "_native/_statx": [],
    "_native/_pool": [],
    "_native/_window": [],
    "_native/_files": [],
    "_native/_connection": [],
    "_native/_steps": [],
    "_native/_crew": [],
    "_native/_answers": [],
    "_native/_work": ["uring"],
    "_native/_receive": ["uring"],
    "_native/_send": ["uring"],
    "_native/_serve": [],
    "_native/_transport": ["uring"],
    "_native/_plane": ["uring"],
    "_native/_plane_connection": [],
    "_native/_values": [],
    "perf/_connection": [],
    "perf/_generator": [],
    "perf/_histogram": [],
    "perf/_replies": [],
    "perf/_template": [],
}
"""Module, as a path in the package -> libraries it links with."""


def flags() -> tuple[list[str], list[str]]:
    """What to compile and to link with."""
    sanitizers = os.environ.get("SMBD_SANITIZE")
    if not sanitizers:
        return ["-O2", "-Wall"], []
    sanitize = f"-fsanitize={sanitizers}"
    return ["-O1", "-g", "-Wall", "-fno-omit-frame-pointer", sanitize], [sanitize]


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
    compile_flags, link_flags = flags()
    modules = [
        Extension(
            f"smbd_uring.{name.replace('/', '.')}",
            [f"smbd_uring/{name}.pyx"],
            libraries=libraries,
            extra_compile_args=compile_flags,
            extra_link_args=link_flags,
            depends=[str(path) for folder in ("_native", "perf") for path in Path("smbd_uring", folder).glob("*.pxd")],
        )
        for name, libraries in LIBRARIES.items()
    ]
    built: list[Extension] = cythonize(modules, compiler_directives={"language_level": "3"})
    for extension in built:
        # cythonize makes extensions of its own and forgets this attribute of those it was given.
        extension.optional = not required
    return built


setup(ext_modules=extensions())
