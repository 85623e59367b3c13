"""Redaction: whatever no allowlist permits becomes a placeholder."""
