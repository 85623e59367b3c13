"""Counts of documented fields seen and rules evaluated."""
