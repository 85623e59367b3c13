"""The packaged test suite, which checks a server, a client, or both."""
