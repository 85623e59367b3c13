"""The rules, and functions that check requests and responses."""
