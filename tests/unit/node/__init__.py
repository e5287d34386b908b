"""Tests of what runs on a node, against local files and a local HTTP server."""
