"""The shape of what the program answers and stores: each shape has a golden file, which documents it."""
