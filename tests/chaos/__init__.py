"""A random walk of faults and verbs through a cluster in the lab, with a seed; after each step the invariants hold."""
