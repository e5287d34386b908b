"""Turns one description into a Kubernetes cluster on DigitalOcean whose droplets assemble themselves."""

__version__ = "0.1.0"
