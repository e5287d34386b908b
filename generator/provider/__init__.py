"""The two clients, DigitalOcean's API and Spaces, and what both say, as frozen values."""
