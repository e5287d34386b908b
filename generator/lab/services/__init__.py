"""What droplets and the host find at public names: TLS front, names, Spaces, registries, metadata and the proxy."""
