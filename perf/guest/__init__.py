"""Compares with ksmbd, in a virtual machine that has it: see `run.sh`."""
