"""The one way by which anything here writes to a server that is not our own fake in this process."""
