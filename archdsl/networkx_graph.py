"""The graph as NetworkX graph, for users' own code, and as JSON."""
