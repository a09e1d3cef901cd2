"""Offline data: scenario material run in the vault simulator becomes labelled rows with proofs."""
