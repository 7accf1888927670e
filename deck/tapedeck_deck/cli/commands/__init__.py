"""The commands and their options. Each imports the module that does its work when it is called, to start quickly."""
