"""Tests: one file per module, named as claims."""
