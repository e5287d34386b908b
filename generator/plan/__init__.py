"""Every decision: nodes, addresses, names, certificates, cost; and what a project holds beside its description."""
