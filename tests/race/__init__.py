"""Boots the same droplets by kubeadm and by hardway, in turns, and says how long each takes, and what it costs."""
