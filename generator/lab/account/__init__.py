"""The emulated account: what it holds, and the API that shows it and changes it."""
