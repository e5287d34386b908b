"""Keys, certificates, kubeconfigs and bundles, and the private store that keeps them."""
