"""Says after a build whether the native parts are there, and what their absence costs.

Knows: the switch of the native parts.  Must not know: what they do.
"""

from smbd_uring import _native

if _native.why_not is None:
    print("Native parts: built; the server uses io_uring where the kernel allows it.")
else:
    print(f"Native parts: not built ({_native.why_not}).")
    print("The server works all the same, over epoll: each file operation then takes a worker thread and")
    print("system calls of its own instead of an entry in a ring: small requests are slower.")
