"""A view in DOT, the language of Graphviz, and Graphviz itself, which draws it."""
