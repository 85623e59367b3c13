"""Entry point of `python -m pytest_veeqo_alloc`, which is the command `veeqo-alloc`."""

from pytest_veeqo_alloc.cli.main import entry

if __name__ == "__main__":
    entry()
