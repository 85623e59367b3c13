"""The fake server, and the proxy that checks traffic to a real one."""
