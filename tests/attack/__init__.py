"""Plays thefts against a cluster in the lab and says what each reached; `scripts/attack` prints the table."""
