"""Measures SMB servers: a load generator, and what is built on it.  Needs a checkout: see `perf.session`."""
