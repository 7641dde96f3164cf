"""The command line, one module a command.

Stays empty of imports: the companion is started through it and has to be up in a fraction of a second.
"""
