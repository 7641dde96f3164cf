"""A simulated world for the engine and the file layer: kernel, network, companion and clock, deterministic by seed."""
