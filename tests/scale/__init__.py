"""Launches clusters of many nodes against the account's real limits, with droplets that are nothing but reports."""
