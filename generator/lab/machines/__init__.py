"""Droplets as real machines: the host and its kernel, wires and packet filter, base root and first process."""
