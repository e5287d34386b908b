"""Manifests of a user's own: read, put together, held against each other, and their images looked up."""
