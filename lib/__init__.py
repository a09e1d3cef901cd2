"""Thin shared modules, one noun a file."""
