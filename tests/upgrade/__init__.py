"""Brings a living cluster's addons from the minor version before to the lock's, while everything is asked of them."""
