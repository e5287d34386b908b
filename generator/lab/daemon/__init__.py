"""The one process of a lab: keeps machines as the account says, and does what the command line asks."""
