"""Counts of the documented fields and rules that checks reach."""
