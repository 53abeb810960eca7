"""Program -> Graph: values, names, blocks and loops."""
