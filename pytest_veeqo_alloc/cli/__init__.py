"""The `veeqo-alloc` command: check, redact, serve, report and more."""
