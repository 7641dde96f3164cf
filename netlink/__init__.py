"""The companion: accounts, shares and logons for the engine, in a process of its own.

It speaks ksmbd's generic-netlink messages and never imports the engine.
"""
