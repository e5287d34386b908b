"""Says what the lab is, where it differs from the provider, and so what a first run in the cloud has to show."""

from __future__ import annotations

ABOUT = """\
The lab is a DigitalOcean on this machine: its API over TLS, Spaces by a real S3 server, registries and download hosts
under their own names, and droplets that are real machines with Debian 13's systemd and cloud-init. The documents that
boot here are, byte for byte, those that boot in the cloud.

It is unkind on purpose (`gen lab up --kind` turns that off): a droplet is not found at first, is active before it has
addresses, gets its VPC address in no order; one creation answers 500 although it happened; a VPC counts members that
are gone; the provider's vendor-data rewrite /etc/hosts and hold dpkg's lock; firewalls deny by default, in the VPC too;
the VPC drops frames with foreign source addresses (`gen lab spoofing on` lets them pass).

What it can't prove, and a first run in the cloud has to show:
  [ ] WireGuard of the kernel: here wireguard-go stands for the module
  [ ] kernel modules and sysctls outside `net`: machines share this host's kernel, host-wide sysctls are files
  [ ] cgroup version 2, where this host has version 1
  [ ] the provider's own Debian image: what it holds, its boot loader, its agents, its time synchronisation
  [ ] foreign source addresses on the provider's VPC: dropped or not may differ by region
  [ ] upstream's own bytes, where a lock made from source was used: same addresses and layouts, other digests
  [ ] the provider's real lags, limits and prices, and Spaces beyond what the S3 server here knows
  [ ] droplet sizes: memory is limited as bought, the number of processors is this host's
"""
