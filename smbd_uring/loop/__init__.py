"""The drivers: the only code that blocks.

Knows: descriptors, system calls, identities, the ring, epoll, the clock.  Must not know: SMB, sessions, what
the bytes it carries mean.  `ring_driver.RingDriver` and `epoll_driver.EpollDriver` implement `ports.Driver`.
"""
