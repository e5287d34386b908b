"""What is reviewed: user-data, addons, agent, roster, summary."""
