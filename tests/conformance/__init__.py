"""Runs Kubernetes' own end-to-end suite, or a part of it, against a cluster in a lab."""
