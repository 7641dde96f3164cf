"""The engine's side of the companion: asking it, and keeping it alive."""
