"""What is believed of the provider, and a small droplet that asks the provider itself."""
