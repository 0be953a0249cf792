"""This system beside its peers, on the same machine in the same minutes."""
