"""The commands and their options. What they do lies in the modules around; each imports its own when called."""
