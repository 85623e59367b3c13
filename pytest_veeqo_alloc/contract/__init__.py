"""The contract: rules and what breaks them. Pure: no files, no clock, no environment."""
