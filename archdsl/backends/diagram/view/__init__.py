"""What a picture of a network shows, whatever its format: boxes, open blocks and edges."""
