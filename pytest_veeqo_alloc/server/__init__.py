"""The fake: a stateful stand-in for the API on the loopback, and the proxy in front of a real one."""
