"""Says after a build whether the native parts are there, and what their absence costs.

Knows: the switch of the native parts.  Must not know: what they do.
"""

from smbd_uring import _native

if _native.why_not is None:
    print("Native parts: built; the server uses io_uring where the kernel allows it.")
else:
    print(f"Native parts: not all built ({_native.why_not}).")
    print("The server works all the same, and small requests are slower.")
if _native.Ring is None:
    print("Over epoll each file operation takes a worker thread and system calls of its own instead of an entry")
    print("in a ring.")
if _native.Signer is None:
    print("Each signature and each sealed message takes several calls from Python into a library.")
