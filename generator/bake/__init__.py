"""Baked images: a droplet that is made to be copied, and the snapshots of such droplets."""
