"""`tapedeck import`: files of any layout, through a Feed, into the store."""
