"""What a lab serves and runs: fetched or built, cached by content, laid out as files and registries."""
