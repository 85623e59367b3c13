"""Counts: which documented fields and rules the checks have reached."""
