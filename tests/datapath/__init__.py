"""Measures every way of packets in a cluster: who reaches whom, from which address, how large, how fast."""
