"""What is typed: one file a verb, and the options that they share."""
