"""What a cluster has at the provider: looked at, compared, changed and watched."""
