"""Seeded storms over the simulated server, and the rules that its answers have to keep."""
