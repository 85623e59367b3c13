"""Redaction: placeholders for values that no allowlist permits."""
