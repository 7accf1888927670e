"""Reading ahead, encoding and publishing a dataset at the pace of the virtual clock."""
