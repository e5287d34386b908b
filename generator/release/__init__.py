"""Lock files: every binary, package and image of a Kubernetes release by digest."""
