"""Who can reach whom: effective connectivity from network policies."""
