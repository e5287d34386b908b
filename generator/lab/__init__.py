"""A DigitalOcean on this machine: the same API, a real S3 server, and droplets that are real machines."""
