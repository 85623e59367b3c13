"""The contract: its rules, and pure functions that check requests and responses against them."""
