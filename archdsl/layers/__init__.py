"""What each kind of node means: one class a layer, one file a family."""
