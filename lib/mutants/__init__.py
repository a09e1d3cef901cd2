"""Faults planted in valid rows, to see which of them the validator catches."""
