"""What a person wrote, and every mistake in it."""
