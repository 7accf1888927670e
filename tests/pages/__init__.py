"""The commands and files of the documentation's pages, as a reader meets them."""
