"""Rules, and what breaks them: pure functions of data."""
